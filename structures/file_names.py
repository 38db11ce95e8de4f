"""Names of files made of words that come from a file: they stay in the folder they are written to."""

from __future__ import annotations

import re

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
