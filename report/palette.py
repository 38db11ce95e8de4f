"""The colours of figures and page: each in a light and a dark version, told apart in grey too."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """What a figure draws with (``light``), and what the page shows in its place on a dark screen."""

    light: str
    dark: str


INK = Colour("#1b2430", "#e8ebf0")
MUTED = Colour("#4a5565", "#b3bdca")
LINE = Colour("#ccd3dc", "#3b4653")
PAPER = Colour("#ffffff", "#15191f")
SHINE = Colour("#fdfeff", "#ffffff")
VALENCE = Colour("#8c98a8", "#6a7686")
CONDUCTION = Colour("#e6ebf1", "#29313b")
LEVEL = Colour("#12305c", "#cfe0ff")
PL = Colour("#187a48", "#5fd798")
PL_BAND = Colour("#d8efe2", "#1c3a2b")
PUBLISHED = Colour("#a4502f", "#f2ab8d")
THIRD = Colour("#6a4c93", "#c3a8ea")
SURFACE = Colour("#2b5fb0", "#86b0f2")
POLYHEDRON = Colour("#8ea4c8", "#7d97c4")
ELEMENTS = {
    "Pb": Colour("#44546f", "#8093b5"),
    "Br": Colour("#c47a45", "#c9824e"),
    "Cs": Colour("#b5d6cd", "#bfe0d7"),
}


def variables() -> dict[str, Colour]:
    """CSS variable name → colour."""
    named = {name.lower().replace("_", "-"): value for name, value in globals().items() if isinstance(value, Colour)}
    return named | {f"element-{symbol.lower()}": colour for symbol, colour in ELEMENTS.items()}


def element_colour(symbol: str) -> str:
    """Of an element: ours, or that of Jmol as ASE has it."""
    if symbol in ELEMENTS:
        return ELEMENTS[symbol].light
    from ase.data import atomic_numbers
    from ase.data.colors import jmol_colors
    from matplotlib.colors import to_hex

    return to_hex(jmol_colors[atomic_numbers[symbol]])
