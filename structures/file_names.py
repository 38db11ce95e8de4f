"""Names of files: those made of words that come from a file stay in their folder; those that end alike are found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from midgap.structures.errors import InputError

LONGEST = 120
"""Characters: file systems take 255 bytes, and endings are added."""
RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Devices, not files, to Windows."""


def file_name(words: str, otherwise: str = "unnamed") -> str:
    """Letters, digits and ``_ . + -``; everything else becomes a hyphen.

    Examples
    --------
    >>> file_name("../../etc/passwd"), file_name("V_Br⁺ · 21 atoms"), file_name("nul.txt"), file_name("..")
    ('etc-passwd', 'V_Br-21-atoms', '_nul.txt', 'unnamed')
    """
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", words).strip("-.")[:LONGEST]
    if RESERVED.match(name):
        name = f"_{name}"
    return name or otherwise


def files_ending(paths: Sequence[Path | str], suffix: str, hint: str = "") -> list[Path]:
    """The files among ``paths``, and all that end with ``suffix`` in the folders among them: each once, in order.

    Raises
    ------
    InputError
        A folder holds none; ``hint`` says what would write them.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = sorted(path.glob(f"*{suffix}")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path} holds no *{suffix}{'; ' if hint else ''}{hint}.")
        found += inside
    return list(dict.fromkeys(found))
