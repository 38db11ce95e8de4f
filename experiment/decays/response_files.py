"""The instrument's response function from a file: a measured stream, or a table of time and counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midgap.experiment.decays.responses import Response, measured_response
from midgap.experiment.photons.files import SUFFIXES, open_photons
from midgap.experiment.photons.survey import survey
from midgap.structures.errors import InputError


def read_response(path: Path | str) -> Response:
    """Read a response function.

    A PTU or Photon-HDF5 file is of scattered laser light, its detectors brought together; a text file has two
    columns, ns and counts, in even steps, and lines that begin with # are comments.

    Raises
    ------
    InputError
        The file cannot be read as one of these, or has no pulse.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        file = open_photons(path)
        units = file.empty()
        if file.mode != "T3":
            raise InputError(f"{path} is a T2 stream, which has no delays after laser pulses and so no response.")
        return measured_response(
            survey(file.chunks()).aligned_decay(), 1e9 * units.time_unit_s / units.period_bins, path.name
        )
    try:
        table = np.loadtxt(path, delimiter="," if "," in path.read_text(encoding="utf-8") else None, ndmin=2)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table of ns and counts ({str(error)[:100]}).") from None
    if table.shape[1] != 2 or len(table) < 8:
        raise InputError(f"{path} must have two columns, ns and counts, and not {table.shape[1]} of {len(table)} rows.")
    if not (np.abs(table) < 1e15).all():
        raise InputError(f"{path} holds times or counts that are no numbers.")
    steps = np.diff(table[:, 0])
    if not steps[0] > 0 or np.ptp(steps) > 0.01 * steps[0]:
        raise InputError(f"{path}: the times in the first column must ascend in even steps of ns.")
    return measured_response(table[:, 1], float(steps.mean()), path.name)
