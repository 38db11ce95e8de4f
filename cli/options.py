"""Option values that several commands take."""

from __future__ import annotations

from midgap.structures.errors import InputError


def parse_charges(text: str) -> tuple[int, ...]:
    """``"-1,0,+1"`` as integers, each once, in the order given.

    Raises
    ------
    InputError
        A part is not an integer.
    """
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise InputError(f"--charges takes integers with commas, such as -1,0,1; not {text!r}.") from None
