"""Atomic units in those of midgap: CODATA 2018 (Rev. Mod. Phys. 93, 025010 (2021), doi 10.1103/RevModPhys.93.025010).

What an engine converted with constants of its own is undone with the same ones: GPAW's are ASE's.
"""

EV_PER_HARTREE = 27.211386245988
BOHR_ANG = 0.529177210903
ATOMIC_FIELD_V_PER_ANG = EV_PER_HARTREE / BOHR_ANG
"""The electric field of one hartree an electron charge and bohr."""
COULOMB_EV_ANG = EV_PER_HARTREE * BOHR_ANG
"""e²/4πε₀; as V Å the potential around a proton."""
