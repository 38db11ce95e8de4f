// A crystal and a level's density that can be turned: rasterised here, pixel by pixel, so that neither WebGL nor a
// library is needed. Spheres and sticks are exact; of the surface, which is half transparent, the nearest sheet is drawn.
function spatial(figure, scenes, describe) {
  const canvas = figure.querySelector('canvas'), context = canvas.getContext('2d');
  const choose = figure.querySelector('select'), caption = figure.querySelector('output');
  const parts = figure.querySelectorAll('input[type=radio]');
  let turn = [1, 0, 0, 0, 1, 0, 0, 0, 1], zoom = 1, waiting = 0, settled = 0;
  let shown, mesh, middle;

  const normalsOf = (points, triangles) => {
    const normals = new Float32Array(points.length);
    for (let t = 0; t < triangles.length; t += 3) {
      const [a, b, c] = [3 * triangles[t], 3 * triangles[t + 1], 3 * triangles[t + 2]];
      const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
      const vx = points[c] - points[a], vy = points[c + 1] - points[a + 1], vz = points[c + 2] - points[a + 2];
      const n = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const v of [a, b, c]) for (let i = 0; i < 3; i++) normals[v + i] += n[i];
    }
    return normals;
  };

  const select = () => {
    const [s, l] = choose.value.split(':').map(Number), scene = scenes[s], surface = scene.surfaces[l];
    const wanted = [...parts].find(input => input.checked), k = wanted ? Number(wanted.value) : -1;
    const chosen = surface && k >= 0 ? surface.parts[k] : null;
    shown = scene;
    const ends = [0, 1, 2].map(i => scene.positions_ang.map(p => p[i]));
    middle = ends.map(x => 0.5 * (Math.min(...x) + Math.max(...x)));
    const pad = Math.max(...Object.values(scene.elements).map(e => e.radius_ang)) + 0.3;
    shown.half = ends.slice(0, 2).map(x => 0.5 * (Math.max(...x) - Math.min(...x)) + pad); // as it is first seen
    shown.reach = Math.max(...scene.positions_ang.map(p => Math.hypot(...p.map((x, i) => x - middle[i])))) + 0.8;
    mesh = chosen && {points: Float32Array.from(chosen.vertices_hundredths_ang, x => x / 100), triangles: chosen.triangles};
    if (mesh) mesh.normals = normalsOf(mesh.points, mesh.triangles);
    for (const input of parts) input.disabled = !surface;
    caption.textContent = describe(scene, surface, chosen);
    canvas.setAttribute('aria-label', caption.textContent);
    draw();
  };

  const rgb = text => {
    const n = parseInt(text.trim().slice(1), 16);
    return [n >> 16, n >> 8 & 255, n & 255];
  };

  const render = (fine, dark) => {
    const wide = canvas.clientWidth || 600, density = fine ? Math.min(2, window.devicePixelRatio || 1) : 1;
    const width = Math.round(wide * density), height = Math.round(wide * 0.62 * density);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const scale = zoom * 0.47 * Math.min(width / shown.half[0], height / shown.half[1]), cx = width / 2, cy = height / 2;
    const image = context.createImageData(width, height), pixels = image.data;
    const depth = new Float32Array(width * height).fill(-1e9);
    const paper = rgb(dark ? '#15191f' : '#ffffff'), far = shown.reach;
    const [m0, m1, m2, m3, m4, m5, m6, m7, m8] = turn;
    const spin = (x, y, z) => [m0 * x + m1 * y + m2 * z, m3 * x + m4 * y + m5 * z, m6 * x + m7 * y + m8 * z];
    const rotate = (x, y, z) => spin(x - middle[0], y - middle[1], z - middle[2]);
    const fog = z => 0.55 * Math.min(1, Math.max(0, (far - z) / (2 * far)));
    const put = (i, colour, light, veil) => {
      for (let c = 0; c < 3; c++) {
        const lit = light <= 1 ? colour[c] * light : colour[c] + (255 - colour[c]) * (light - 1);
        pixels[4 * i + c] = lit * (1 - veil) + paper[c] * veil;
      }
      pixels[4 * i + 3] = 255;
    };
    const LIGHT = [-0.41, 0.5, 0.76];
    const shade = (x, y, z) => {
      const facing = Math.max(0, x * LIGHT[0] + y * LIGHT[1] + z * LIGHT[2]);
      return 0.42 + 0.56 * facing + (facing > 0.93 ? 0.55 * ((facing - 0.93) / 0.07) ** 2 : 0);
    };

    const centres = shown.positions_ang.map(p => rotate(...p));
    shown.symbols.forEach((symbol, n) => {
      const element = shown.elements[symbol], colour = rgb(dark ? element.dark : element.light);
      const [x, y, z] = centres[n], r = element.radius_ang, px = cx + scale * x, py = cy - scale * y, pr = scale * r;
      const veil = fog(z);
      for (let j = Math.max(0, Math.ceil(py - pr)); j <= Math.min(height - 1, py + pr); j++)
        for (let i = Math.max(0, Math.ceil(px - pr)); i <= Math.min(width - 1, px + pr); i++) {
          const nx = (i - px) / pr, ny = (py - j) / pr, out = nx * nx + ny * ny;
          if (out > 1) continue;
          const nz = Math.sqrt(1 - out), at = z + r * nz, k = j * width + i;
          if (at <= depth[k]) continue;
          depth[k] = at;
          put(k, colour, shade(nx, ny, nz) * (nz < 0.3 ? 0.72 : 1), veil);
        }
    });
    const stick = rgb(dark ? '#6a7686' : '#8c98a8'), pr = 0.13 * scale;
    for (const [a, b] of shown.bonds) {
      const p = centres[a], q = centres[b], dx = scale * (q[0] - p[0]), dy = scale * (p[1] - q[1]);
      const px = cx + scale * p[0], py = cy - scale * p[1], length = dx * dx + dy * dy || 1e-9;
      const left = Math.max(0, Math.floor(Math.min(px, px + dx) - pr)), right = Math.min(width - 1, Math.max(px, px + dx) + pr);
      const up = Math.max(0, Math.floor(Math.min(py, py + dy) - pr)), low = Math.min(height - 1, Math.max(py, py + dy) + pr);
      for (let j = up; j <= low; j++)
        for (let i = left; i <= right; i++) {
          const t = Math.min(1, Math.max(0, ((i - px) * dx + (j - py) * dy) / length));
          const ox = i - px - t * dx, oy = py + t * dy - j, off = (ox * ox + oy * oy) / (pr * pr);
          if (off > 1) continue;
          const nz = Math.sqrt(1 - off), z = p[2] + t * (q[2] - p[2]) + 0.13 * nz, k = j * width + i;
          if (z <= depth[k]) continue;
          depth[k] = z;
          put(k, stick, shade(ox / pr, oy / pr, nz), fog(z));
        }
    }
    if (mesh) sheet(mesh, width, height, scale, cx, cy, rotate, spin, depth, pixels, rgb(dark ? '#86b0f2' : '#2b5fb0'), shade);
    context.putImageData(image, 0, 0);
    if (shown.vacancy_ang) {
      const [x, y] = rotate(...shown.vacancy_ang);
      context.setLineDash([5 * density, 4 * density]);
      context.lineWidth = 2 * density;
      context.strokeStyle = dark ? '#e8ebf0' : '#1b2430';
      context.beginPath();
      context.arc(cx + scale * x, cy - scale * y, scale * shown.vacancy_radius_ang, 0, 7);
      context.stroke();
    }
    const bar = 5 * scale, edge = 12 * density;
    context.setLineDash([]);
    context.strokeStyle = context.fillStyle = dark ? '#e8ebf0' : '#1b2430';
    context.lineWidth = 2 * density;
    context.beginPath();
    context.moveTo(edge, height - edge);
    context.lineTo(edge + bar, height - edge);
    context.stroke();
    context.font = `${14 * density}px system-ui, sans-serif`;
    context.fillText('5 Å', edge, height - edge - 6 * density);
  };

  const isDark = () => getComputedStyle(document.documentElement).getPropertyValue('--paper').trim() === '#15191f';
  const draw = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => render(false, isDark()));
    clearTimeout(settled);
    settled = setTimeout(() => render(true, isDark()), 120);
  };
  const about = (x, y) => { // angles about the vertical and the horizontal of the screen
    const [cx, sx, cy, sy] = [Math.cos(x), Math.sin(x), Math.cos(y), Math.sin(y)];
    const by = [cx, 0, sx, sx * sy, cy, -cx * sy, -sx * cy, sy, cx * cy], old = turn;
    turn = by.map((_, n) => [0, 1, 2].reduce((sum, k) => sum + by[n - n % 3 + k] * old[3 * k + n % 3], 0));
    draw();
  };
  const STEP = Math.PI / 12;
  const acts = {
    ArrowLeft: () => about(-STEP, 0), ArrowRight: () => about(STEP, 0), ArrowUp: () => about(0, -STEP), ArrowDown: () => about(0, STEP),
    '+': () => { zoom = Math.min(4, zoom * 1.15); draw(); }, '-': () => { zoom = Math.max(0.5, zoom / 1.15); draw(); },
    Home: () => { turn = [1, 0, 0, 0, 1, 0, 0, 0, 1]; zoom = 1; draw(); },
  };
  canvas.addEventListener('keydown', event => {
    const act = acts[event.key === '=' ? '+' : event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });
  for (const button of figure.querySelectorAll('button[data-key]'))
    button.addEventListener('click', () => acts[button.dataset.key]());
  let grip = null;
  canvas.addEventListener('pointerdown', event => {
    grip = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', event => {
    if (!grip) return;
    about((event.clientX - grip[0]) / 120, (event.clientY - grip[1]) / 120);
    grip = [event.clientX, event.clientY];
  });
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { grip = null; });
  choose.addEventListener('change', select);
  for (const input of parts) input.addEventListener('change', select);
  new ResizeObserver(draw).observe(canvas);
  window.addEventListener('theme', draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  window.addEventListener('beforeprint', () => render(true, false));
  window.addEventListener('afterprint', draw);
  select();
}

// The nearest sheet of a surface over what is there, the less transparent the more it turns away.
function sheet(mesh, width, height, scale, cx, cy, rotate, spin, depth, pixels, colour, shade) {
  const {points, normals, triangles} = mesh, n = points.length / 3;
  const place = new Float32Array(3 * n), facing = new Float32Array(3 * n);
  for (let v = 0; v < 3 * n; v += 3) {
    const [x, y, z] = rotate(points[v], points[v + 1], points[v + 2]);
    const normal = spin(normals[v], normals[v + 1], normals[v + 2]), size = Math.hypot(...normal) || 1;
    place[v] = cx + scale * x; place[v + 1] = cy - scale * y; place[v + 2] = z;
    for (let i = 0; i < 3; i++) facing[v + i] = normal[i] / size;
  }
  const nearest = new Float32Array(width * height).fill(-1e9), light = new Float32Array(width * height), rim = new Float32Array(width * height);
  for (let t = 0; t < triangles.length; t += 3) {
    const a = 3 * triangles[t], b = 3 * triangles[t + 1], c = 3 * triangles[t + 2];
    const ax = place[a], ay = place[a + 1], bx = place[b] - ax, by = place[b + 1] - ay, dx = place[c] - ax, dy = place[c + 1] - ay;
    const area = bx * dy - by * dx;
    if (Math.abs(area) < 1e-9) continue;
    const left = Math.max(0, Math.ceil(ax + Math.min(0, bx, dx))), right = Math.min(width - 1, ax + Math.max(0, bx, dx));
    const up = Math.max(0, Math.ceil(ay + Math.min(0, by, dy))), low = Math.min(height - 1, ay + Math.max(0, by, dy));
    for (let j = up; j <= low; j++)
      for (let i = left; i <= right; i++) {
        const q = ((i - ax) * dy - (j - ay) * dx) / area, r = (bx * (j - ay) - by * (i - ax)) / area, p = 1 - q - r;
        if (p < -1e-4 || q < -1e-4 || r < -1e-4) continue;
        const z = p * place[a + 2] + q * place[b + 2] + r * place[c + 2], k = j * width + i;
        if (z <= nearest[k]) continue;
        nearest[k] = z;
        let x = p * facing[a] + q * facing[b] + r * facing[c], y = p * facing[a + 1] + q * facing[b + 1] + r * facing[c + 1];
        let w = p * facing[a + 2] + q * facing[b + 2] + r * facing[c + 2];
        if (w < 0) { x = -x; y = -y; w = -w; }
        light[k] = shade(x, y, w);
        rim[k] = 1 - Math.min(1, w);
      }
  }
  for (let k = 0; k < nearest.length; k++) {
    if (nearest[k] <= depth[k]) continue;
    const veil = 0.52 + 0.4 * rim[k] * rim[k], under = pixels[4 * k + 3] / 255, whole = veil + under * (1 - veil);
    for (let c = 0; c < 3; c++) {
      const lit = light[k] <= 1 ? colour[c] * light[k] : colour[c] + (255 - colour[c]) * (light[k] - 1);
      pixels[4 * k + c] = (lit * veil + pixels[4 * k + c] * under * (1 - veil)) / whole;
    }
    pixels[4 * k + 3] = 255 * whole;
  }
}
