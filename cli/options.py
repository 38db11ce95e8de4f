"""Option values that several commands take."""

from __future__ import annotations

from collections.abc import Sequence

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


def parse_replacing(words: Sequence[str]) -> dict[str, str]:
    """``["Br=Cl"]`` as elements by those they replace.

    Raises
    ------
    InputError
        A part is not OLD=NEW, or an element is replaced twice.
    """
    pairs = [tuple(part.strip() for part in word.split("=")) for word in words]
    for word, pair in zip(words, pairs, strict=True):
        if len(pair) != 2 or not all(pair):
            raise InputError(f"--substitute takes OLD=NEW, such as Br=Cl; not {word!r}.")
    if len({pair[0] for pair in pairs}) < len(pairs):
        raise InputError("--substitute names an element twice.")
    return {pair[0]: pair[1] for pair in pairs}


def parse_mesh(text: str) -> tuple[int, int, int]:
    """``"2,2,2"`` or ``"2x2x2"`` as a mesh.

    Raises
    ------
    InputError
        It is not three positive integers.
    """
    parts = text.lower().replace("×", ",").replace("x", ",").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--kpoints takes three positive integers with commas, such as 2,2,2; not {text!r}.")
    a, b, c = (int(part) for part in parts)
    return a, b, c


def parse_dielectric(text: str) -> float | tuple[float, float, float]:
    """``"8.1"`` or ``"8.0,8.0,8.4"``; what they may be is checked where they are used.

    Raises
    ------
    InputError
        It is neither one number nor three.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise InputError(
            f"--screening takes a dielectric constant such as 8.1, or three such as 8.0,8.0,8.4; not {text!r}."
        )
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1], numbers[2])


def parse_settings(words: Sequence[str]) -> dict[str, str | int | float | bool]:
    """``["ENCUT=400", "LVHAR=.FALSE."]`` as numbers, truth values and words; the last of a name counts.

    Raises
    ------
    InputError
        A part is not NAME=VALUE.
    """
    settings: dict[str, str | int | float | bool] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not (name and equals and value):
            raise InputError(f"--set takes NAME=VALUE, such as --set ENCUT=400; not {word!r}.")
        settings[name] = _value(value)
    return settings


def _value(text: str) -> str | int | float | bool:
    truth = {"true": True, ".true.": True, "false": False, ".false.": False}
    if text.lower() in truth:
        return truth[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
