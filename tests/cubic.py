"""Crystals of textbooks, atom by atom: pymatgen takes a second to work out the space group of rock salt."""

import numpy as np
from pymatgen.core import IStructure, Lattice

FACES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def face_centred(edge_ang, *atoms):
    """The conventional cell with each ``(element, place)`` on a face-centred lattice."""
    places = np.concatenate([(FACES + place) % 1 for _, place in atoms])
    return IStructure(Lattice.cubic(edge_ang), [element for element, _ in atoms for _ in FACES], places)


def rock_salt(edge_ang, cation, anion):
    return face_centred(edge_ang, (cation, [0, 0, 0]), (anion, [0.5] * 3))


def zinc_blende(edge_ang, one, other):
    """Diamond if both are the same."""
    return face_centred(edge_ang, (one, [0, 0, 0]), (other, [0.25] * 3))
