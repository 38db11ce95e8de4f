"""HSE06 to first order on PBE orbitals: eigenvalues and the total energy of one and the same density matrix.

Both corrections to PBE are linear in the fraction of exact exchange, so any fraction follows from that of HSE06.
A total energy of PBE orbitals lies above the self-consistent one (the variational principle).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midgap.structures.document import write_atomic
from midgap.structures.theory import HSE_FRACTION
from midgap.workflows.engines.gpaw import say

HYBRID = "hybrid.json"


@dataclass(frozen=True)
class OneShotHybrid:
    """What a hybrid makes of PBE orbitals.

    Attributes
    ----------
    eigenvalues_eV
        Of the bands that were asked for, shape (spin, irreducible k, band).
    energy_change_eV
        What is to be added to the total energy of PBE.
    """

    eigenvalues_eV: np.ndarray
    energy_change_eV: float


def one_shot_hybrid(calc: Any, window: tuple[int, int], exact_exchange: float | None, folder: Path) -> OneShotHybrid:
    """HSE06 on the orbitals of a converged calculator of the plane-wave mode.

    The exchange of the occupied bands with each other, for the energy, comes from the same integrals as their
    eigenvalues. Each k-point is kept in ``hybrid.json`` as soon as it is done.

    Parameters
    ----------
    window
        Bands [first, last) whose eigenvalues are wanted; those below are computed for the energy.
    exact_exchange
        Fraction; None is HSE06's own.
    """
    path = folder / HYBRID
    done: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    dft = calc.dft
    count, last = len(dft.ibzwfs.ibz), max(window[1], dft.ibzwfs.number_of_occupied_bands())
    keys = [f"{k}:0:{last}" for k in range(count)]
    integrals = None
    for k, key in enumerate(keys):
        if "exchange_eV" in done.get(key, {}):
            continue
        say(folder, f"HSE06 exchange, k-point {k + 1} of {count}")
        integrals = integrals or _exchange_integrals(dft)
        pbe, semilocal, hybrid = integrals._calculate(dft.ibzwfs, 0, last, [k])
        done[key] = {
            "pbe_eV": pbe[:, 0].tolist(),
            "correction_eV": (hybrid - semilocal)[:, 0].tolist(),
            "exchange_eV": integrals.taken_eV(),
        }
        write_atomic(path, json.dumps(done))
    rows = [done[key] for key in keys]
    scale = 1.0 if exact_exchange is None else exact_exchange / HSE_FRACTION
    eigenvalues = np.stack([np.array(row["pbe_eV"]) + scale * np.array(row["correction_eV"]) for row in rows], axis=1)
    exchange = np.stack([np.array(row["exchange_eV"]) for row in rows], axis=1)
    return OneShotHybrid(
        eigenvalues_eV=eigenvalues[:, :, window[0] : window[1]],
        energy_change_eV=scale * _energy_change_eV(dft, exchange),
    )


def _exchange_integrals(dft: Any) -> Any:
    """GPAW's calculator of hybrid eigenvalues, that also hands over the part of each which is exchange with others."""
    from ase.units import Ha
    from gpaw.new.pw.nschse import NonSelfConsistentHybridXCCalculator

    class Integrals(NonSelfConsistentHybridXCCalculator):
        taken: list[np.ndarray]

        def calculate_one_kpt(self, psit2_nG: Any, P2_ani: Any, spin: int) -> Any:
            self.taken = [*getattr(self, "taken", []), np.zeros(len(psit2_nG))]
            return super().calculate_one_kpt(psit2_nG, P2_ani, spin)

        def _exx_part(self, *args: Any) -> np.ndarray:
            part = super()._exx_part(*args)
            self.taken[-1] += part
            return part

        def taken_eV(self) -> list[list[float]]:
            """-α Σ f ⟨nm|v|mn⟩ of the smooth orbitals since the last call, shape (spin, band)."""
            found, self.taken = self.taken, []
            return [(-self.exx_fraction / self.nbzk * one * Ha).tolist() for one in found]

    return Integrals.from_dft_calculation(dft, "HSE06", log=None)


def _energy_change_eV(dft: Any, exchange_eV: np.ndarray) -> float:
    """E(HSE06) - E(PBE) of one density matrix; what is inside the PAW spheres is added to the smooth orbitals'.

    As GPAW's ``non_self_consistent_hybrid_xc_energy`` does, whose integrals over all empty bands are spared.

    Parameters
    ----------
    exchange_eV
        Of each band with the occupied ones, shape (spin, irreducible k, band).
    """
    from ase.units import Ha
    from gpaw.hybrids.paw import pawexxvv
    from gpaw.new.pw.hybrids import _semilocal_xc_energy
    from gpaw.utilities import unpack_hermitian

    wfs = dft.ibzwfs
    _, occupations = wfs.get_all_eigs_and_occs(broadcast=True)
    bands = exchange_eV.shape[2]
    weights = np.asarray(wfs.ibz.weight_k)
    valence = 0.5 * wfs.spin_degeneracy * np.einsum("k,skn,skn->", weights, occupations[:, :, :bands], exchange_eV) / Ha
    spheres = core = 0.0
    for a, density in dft.density.D_asii.items():
        setup = dft.setups[a]
        core_valence = unpack_hermitian(setup.X_p)
        core += setup.ExxC
        for D_ii in density:
            one_spin = D_ii.real / wfs.spin_degeneracy
            inside = (one_spin * core_valence).sum() + (one_spin * pawexxvv(setup.M_pp, one_spin)).sum()
            spheres -= wfs.spin_degeneracy * inside
    change = (
        _semilocal_xc_energy(dft, "HSE06") - dft.energies._energies["xc"] + HSE_FRACTION * (core + spheres) + valence
    )
    return float(change * Ha)
