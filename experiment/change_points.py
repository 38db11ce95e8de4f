"""Where the emission rate changes, from the arrival time of every photon.

L. P. Watkins and H. Yang, J. Phys. Chem. B 109, 617 (2005), doi 10.1021/jp0467548.
"""

from __future__ import annotations

from typing import Any

from midgap.structures.document import Document, FloatArray, IntArray


class ChangePoints(Document):
    """Photons at which the rate changes, each with the region it lies in.

    Attributes
    ----------
    photon
        Shape (n_changes,): index of the last photon of the old level, which is where the new level's
        clock starts; ``photon_lo``, ``photon_hi`` hold it with probability ``region_level``.
    time_s, time_lo_s, time_hi_s
        Their arrival times.
    confidence
        Of each test.
    """

    photon: IntArray
    photon_lo: IntArray
    photon_hi: IntArray
    time_s: FloatArray
    time_lo_s: FloatArray
    time_hi_s: FloatArray
    confidence: float
    region_level: float


def find_change_points(
    time_s: Any, *, confidence: float = 0.99, window: int = 1000, overlap: int = 200, region_level: float = 0.95
) -> ChangePoints:
    """Change points of a stream of photons.

    Parameters
    ----------
    time_s
        Shape (n_photons,): ascending arrival times of one particle, all detectors together.
    confidence
        0.9, 0.95, 0.99 or 0.999: one minus the rate of false alarms of each test.
    """
    raise NotImplementedError
