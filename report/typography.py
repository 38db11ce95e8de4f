"""Labels as the field writes them: subscripts in formulas, V_Br as a symbol."""

from __future__ import annotations

import re
from textwrap import wrap

from markupsafe import Markup, escape
from pymatgen.core import Element

_FORMULA = re.compile(r"(?<![A-Za-z])(?:[A-Z][a-z]?\d*)+(?![A-Za-z\d])")
_VACANCY = re.compile(r"V_([A-Z][a-z]?)([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]*)")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")


def formula(text: str) -> str:
    """Digits of chemical formulas as subscripts: Cs4PbBr6 → Cs₄PbBr₆; HSE06 is none and stays."""

    def lower(match: re.Match[str]) -> str:
        symbols = re.findall(r"[A-Z][a-z]?", match[0])
        return match[0].translate(_SUBSCRIPT) if all(map(Element.is_valid_symbol, symbols)) else match[0]

    return _FORMULA.sub(lower, text)


def mathtext(text: str) -> str:
    """For matplotlib; whatever else it takes for markup is kept as text."""
    parts = _VACANCY.split(text)
    plain = [formula(part.replace("$", r"\$")) for part in parts[::3]]
    symbols = [
        rf"V$_\mathrm{{{species}}}^{{{charge.translate(_PLAIN)}}}$"
        for species, charge in zip(parts[1::3], parts[2::3], strict=True)
    ]
    return "".join(a + b for a, b in zip(plain, [*symbols, ""], strict=True))


def html(text: str) -> Markup:
    """For the page; escaped."""
    return Markup(_VACANCY.sub(r"V<sub>\1</sub>\2", str(escape(formula(text)))))


def short(label: str) -> str:
    """What comes before the first middle dot of a label: ``V_Br⁰`` of ``V_Br⁰ · 21 atoms``."""
    return label.split(" · ")[0]


def folded(text: str, width: int = 44) -> str:
    """For the narrow margin of a figure: two lines of at most so many letters, with … where some are left out."""
    return "\n".join(wrap(text, width, max_lines=2, placeholder="…", break_on_hyphens=False))
