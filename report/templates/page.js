// The page without this is whole; with it the theme can be switched, tables sorted and filtered, structures turned.
const data = JSON.parse(document.getElementById('midgap-data').textContent);
document.documentElement.classList.add('scripted');

{ // theme: as the system has it, light, dark
  const root = document.documentElement, names = ['auto', 'light', 'dark'], button = document.getElementById('theme');
  const keep = value => { try { return value ? localStorage.setItem('midgap-theme', value) : localStorage.getItem('midgap-theme'); } catch { return null; } };
  const set = name => {
    if (name === 'auto') delete root.dataset.theme; else root.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    button.value = name;
    window.dispatchEvent(new Event('theme'));
  };
  button.addEventListener('click', () => {
    const next = names[(names.indexOf(button.value) + 1) % 3];
    keep(next);
    set(next);
  });
  const kept = keep();
  set(names.includes(kept) ? kept : 'auto');
}

const valueOf = cell => {
  const number = cell && cell.querySelector('data');
  return number ? Number(number.value) : (cell ? cell.textContent.trim() : '');
};
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  heads.forEach((head, column) => {
    const button = head.querySelector('button');
    if (!button) return;
    button.addEventListener('click', () => {
      const sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
      const empty = x => x === '' || x === '–';
      rows.sort((one, two) => {
        const a = valueOf(one.cells[column]), b = valueOf(two.cells[column]);
        if (empty(a) || empty(b)) return empty(a) - empty(b); // what was not measured stays below
        return sign * (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), undefined, {numeric: true}));
      });
      body.append(...rows);
      page();
    });
  });
  const tools = table.closest('section').querySelector(`.tools[data-for="${table.id}"]`);
  const filter = tools && tools.querySelector('input'), all = tools && tools.querySelector('button'), told = tools && tools.querySelector('output');
  const FEW = 20;
  let whole = rows.length <= FEW;
  function page() {
    if (!tools) return;
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const fits = rows.filter(row => words.every(word => row.textContent.toLowerCase().includes(word)));
    const shown = new Set(whole ? fits : fits.slice(0, FEW));
    for (const row of rows) row.hidden = !shown.has(row);
    told.textContent = `${shown.size} of ${rows.length} shown`;
    all.hidden = whole || fits.length <= FEW;
  }
  if (tools) {
    filter.addEventListener('input', page);
    all.addEventListener('click', () => { whole = true; page(); });
    page();
  }
}

for (const figure of document.querySelectorAll('figure.spatial')) {
  figure.hidden = false;
  spatial(figure, data.scenes, (scene, surface, part) => {
    const atoms = `${scene.n_atoms} atoms${scene.n_images ? ` and ${scene.n_images} periodic image${scene.n_images > 1 ? 's' : ''}` : ''}.`;
    if (!surface) return `${scene.label}: ${atoms}`;
    if (!part) return `${scene.label}, ${surface.name}, no surface: ${atoms}`;
    return `${scene.label}, ${surface.name}: the surface holds ${part.percent} % of the orbital. ${atoms}`;
  });
}

{ // what is folded away is printed too
  let shut = [];
  window.addEventListener('beforeprint', () => {
    shut = [...document.querySelectorAll('details:not([open])')];
    for (const details of shut) details.open = true;
  });
  window.addEventListener('afterprint', () => { for (const details of shut) details.open = false; });
}

for (const group of document.querySelectorAll('.chooser')) { // one particle's curves at a time
  const choose = group.querySelector('select'), panels = group.querySelectorAll('.particle');
  group.querySelector('label').hidden = false;
  const show = () => panels.forEach((panel, n) => { panel.hidden = n !== choose.selectedIndex; });
  choose.addEventListener('change', show);
  show();
}
