"""Writes files in VASP's formats with numbers that the tests choose."""

import gzip

import numpy as np


def vasprun(
    eigenvalues,
    occupations,
    projections=None,
    *,
    k_weights=None,
    electrons=8.0,
    tags="",
    sites=2,
    steps=3,
    divisions="",
    version="6.4.2",
) -> str:
    """A vasprun.xml: ``eigenvalues`` (spin, k, band), ``projections`` (spin or 4, k, band, site, orbital)."""
    spins, n_k, n_band = eigenvalues.shape
    k_weights = np.full(n_k, 1 / n_k) if k_weights is None else np.asarray(k_weights)
    kpoints = np.arange(n_k)[:, None] / max(n_k, 1) * np.ones(3)
    positions = "".join(f"   <v> {i / sites:15.8f} 0.0 0.0 </v>\n" for i in range(sites))
    structure = (
        "<crystal><varray name='basis'><v> 5.0 0.0 0.0 </v>\n<v> 0.0 5.0 0.0 </v>\n<v> 0.0 0.0 5.0 </v></varray></crystal>\n"
        f"<varray name='positions'>\n{positions}</varray>"
    )
    atoms = "".join("<rc><c>Ga</c><c>   1</c></rc>\n" for _ in range(sites))
    energy = "<i name='e_fr_energy'> -10.10000000 </i><i name='e_0_energy'> -10.00000000 </i>"
    scf = f"<scstep><energy>{energy}</energy></scstep>\n" * steps
    return (
        "<?xml version='1.0' encoding='ISO-8859-1'?>\n<modeling>\n"
        f" <generator><i name='version' type='string'>{version}  </i></generator>\n"
        f" <incar>{tags}</incar>\n"
        f" <kpoints>{divisions}<varray name='kpointlist' >\n"
        + "".join("  <v> {:.8f} {:.8f} {:.8f} </v>\n".format(*k) for k in kpoints)
        + " </varray><varray name='weights' >\n"
        + "".join(f"  <v> {w:.8f} </v>\n" for w in k_weights)
        + " </varray></kpoints>\n"
        f" <parameters><i name='NELECT'> {electrons:.8f} </i><i type='int' name='NBANDS'> {n_band} </i>\n"
        f"  <i type='int' name='ISPIN'> {spins} </i><i type='int' name='NELM'> 60 </i><i name='EDIFF'> 0.00010000 </i>\n"
        "  <i type='string' name='GGA'>PE</i></parameters>\n"
        f" <atominfo><array name='atoms' ><set>\n{atoms}</set></array>\n"
        "  <array name='atomtypes' ><set><rc><c>  2</c><c>Ga</c><c> 69.7</c><c> 4.0</c><c> PAW_PBE Ga 08Apr2002 </c></rc></set></array>"
        " </atominfo>\n"
        f" <structure name='initialpos' >{structure}</structure>\n"
        f" <calculation>\n{scf}  <structure>{structure}</structure>\n  <energy>{energy}</energy>\n"
        f"{_eigenvalues(eigenvalues, occupations)}"
        "  <dos><i name='efermi'> 1.0 </i><total><array><set><r> 1.0 2.0 3.0 </r></set></array></total></dos>\n"
        + ("" if projections is None else _projected(eigenvalues, occupations, projections))
        + " </calculation>\n</modeling>\n"
    )


def _eigenvalues(eigenvalues, occupations) -> str:
    spins, n_k, n_band = eigenvalues.shape
    text = "  <eigenvalues>\n   <array>\n    <field>eigene</field>\n    <field>occ</field>\n    <set>\n"
    for s in range(spins):
        text += f'     <set comment="spin {s + 1}">\n'
        for k in range(n_k):
            text += f'      <set comment="kpoint {k + 1}">\n'
            for b in range(n_band):
                text += f"       <r> {eigenvalues[s, k, b]:9.4f} {occupations[s, k, b]:9.4f} </r>\n"
            text += "      </set>\n"
        text += "     </set>\n"
    return text + "    </set>\n   </array>\n  </eigenvalues>\n"


def _projected(eigenvalues, occupations, projections) -> str:
    parts, n_k, n_band, sites, _ = projections.shape
    text = "  <projected>\n" + _eigenvalues(eigenvalues, occupations)
    text += '   <array>\n    <dimension dim="1">ion</dimension>\n    <field>  s</field>\n    <set>\n'
    for s in range(parts):
        text += f'     <set comment="spin{s + 1}">\n'
        for k in range(n_k):
            text += f'      <set comment="kpoint {k + 1}">\n'
            for b in range(n_band):
                text += f'       <set comment="band {b + 1}">\n'
                for i in range(sites):
                    text += "        <r>" + "".join(f"{w:8.4f}" for w in projections[s, k, b, i]) + " </r>\n"
                text += "       </set>\n"
            text += "      </set>\n"
        text += "     </set>\n"
    return text + "    </set>\n   </array>\n  </projected>\n"


def procar(kpoints, k_weights, eigenvalues, occupations, projections, blocks=1) -> str:
    """A PROCAR with LORBIT = 11; ``projections`` (spin, k, band, site, orbital), ``blocks`` 4 for spinors."""
    spins, n_k, n_band = eigenvalues.shape
    sites, orbitals = projections.shape[3:]
    names = ["s", "py", "pz", "px"][:orbitals]
    text = "PROCAR lm decomposed\n"
    for s in range(spins):
        text += f"# of k-points: {n_k:4d}         # of bands: {n_band:4d}         # of ions: {sites:4d}\n\n"
        for k in range(n_k):
            text += f" k-point {k + 1:5d} :    " + "".join(f"{x:11.8f}" for x in kpoints[k])
            text += f"     weight = {k_weights[k]:10.8f}\n\n"
            for b in range(n_band):
                text += (
                    f"band {b + 1:5d} # energy {eigenvalues[s, k, b]:13.8f} # occ. {occupations[s, k, b]:11.8f}\n \n"
                )
                text += "ion " + "".join(f"{name:>7}" for name in [*names, "tot"]) + "\n"
                for block in range(blocks):
                    rows = projections[s, k, b] * (1.0 if block == 0 else -0.5)
                    for i, row in enumerate([*rows, rows.sum(axis=0)]):
                        head = f"{i + 1:5d}" if i < sites else "tot  "
                        text += head + "".join(f"{w:7.3f}" for w in [*row, row.sum()]) + "\n"
                text += " \n"
    return text


def bands(spins=1, n_k=2, n_band=6, filled=4):
    """Two k-points, a gap of 2 eV; the VBM is at the second and the CBM at the first."""
    energies = np.tile(
        np.concatenate([np.linspace(-3, 0, filled), np.linspace(2, 3, n_band - filled)]), (spins, n_k, 1)
    )
    energies[:, 0, :filled] -= 0.25
    energies[:, 1:, filled:] += 0.25
    occupations = np.tile((np.arange(n_band) < filled).astype(float), (spins, n_k, 1))
    return energies, occupations


def write(folder, text, name="vasprun.xml"):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    raw = text.encode("latin-1")
    path.write_bytes(gzip.compress(raw, 1) if name.endswith(".gz") else raw)
    return path
