"""Datasets of an HDF5 file, read only if the file can hold what they promise."""

from __future__ import annotations

from typing import Any

from midgap.structures.unpacking import HARMLESS, MOST_RATIO


def dataset(file: Any, name: str) -> Any:
    """The value of a dataset.

    Raises
    ------
    ValueError
        It is none, or promises more bytes than a file of this size can be unpacked to.
    KeyError
        There is nothing of that name.
    """
    item = file[name]
    check_size(item)
    return item[()]


def check_size(item: Any) -> None:
    """Raise ValueError for a group, and for a dataset that promises too much."""
    import h5py  # type: ignore[import-untyped]

    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{item.name} is no dataset")
    if item.nbytes > max(HARMLESS, MOST_RATIO * item.file.id.get_filesize()):
        raise ValueError(f"{item.name} promises {item.nbytes:.1e} bytes, more than the file can hold")
