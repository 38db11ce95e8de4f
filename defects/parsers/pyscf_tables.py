"""The tables by which PySCF's C code finds its numbers, checked before it follows them."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_tables(mol: Any) -> None:
    """Refuse tables of basis functions that point outside of the numbers they are made of: the integrals' C code follows them.

    The columns are those of ``pyscf.gto.mole`` (``PTR_COORD``, ``ATOM_OF``, ``ANG_OF``, ``NPRIM_OF``, ``NCTR_OF``,
    ``PTR_EXP``, ``PTR_COEFF``).

    Raises
    ------
    ValueError
        They do.
    """
    atoms, size = mol._atm, len(mol._env)
    if mol._env.ndim != 1 or not np.isfinite(mol._env).all():
        raise ValueError("its numbers are not all finite")
    if atoms.ndim != 2 or atoms.shape[1] != 6 or not 0 < len(atoms) == len(mol._atom):
        raise ValueError("its table of atoms does not fit its atoms")
    pointers = atoms[:, [1, 3, 4]]
    if not ((atoms[:, 0] >= 0) & (atoms[:, 0] < 120)).all() or (pointers < 0).any() or (pointers > size - 3).any():
        raise ValueError("its table of atoms points nowhere")
    for shells, contractions in ((mol._bas, True), (mol._ecpbas, False)):
        if shells.ndim != 2 or shells.shape[1] != 8 or (contractions and not len(shells)):
            raise ValueError("its table of basis functions has another shape")
        atom, angular, primitives = shells[:, 0], shells[:, 1], shells[:, 2].astype(np.int64)
        contracted = shells[:, 3].astype(np.int64) if contractions else np.ones_like(primitives)
        lowest = 0 if contractions else -1  # of a core potential -1 is its local part
        sound = (atom >= 0) & (atom < len(atoms)) & (angular >= lowest) & (angular <= 6)
        sound &= (primitives > 0) & (primitives < 100) & (contracted > 0) & (contracted < 100)
        sound &= (shells[:, 5] >= 0) & (shells[:, 5] + primitives <= size)
        sound &= (shells[:, 6] >= 0) & (shells[:, 6] + primitives * contracted <= size)
        if not contractions:
            sound &= (shells[:, 3] >= 0) & (shells[:, 3] <= 4) & np.isin(shells[:, 4], (0, 1))
        if not sound.all():
            raise ValueError("its table of basis functions points nowhere")
        exponents = [mol._env[start : start + n] for start, n in zip(shells[:, 5], primitives, strict=True)]
        if any((one <= 0).any() for one in exponents):
            raise ValueError("an exponent of its basis is not positive")
