"""What the symbols and words on a page mean: only those that stand on it."""

from __future__ import annotations

import re

_MEANING = (
    ("PL", r"\bPL\b", "photoluminescence"),
    ("FWHM", r"\bFWHM\b", "full width at half of the maximum"),
    ("VBM, CBM", r"\b[VC]BM\b", "highest energy of the valence band, lowest of the conduction band"),
    ("V with a subscript", r"\bV_?[A-Z][a-z]?[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]", "a vacancy: an atom of this element is missing; the superscript is its charge"),
    ("level", r"\blevel\b", "a one-electron state in the gap; deep: bound to the defect; shallow: like a state of the band edge"),
    ("A → B", "→", "a transition: the electron falls from A to B and gives off the difference"),
    ("HSE06", r"\bHSE06\b", "a hybrid density functional, with a part of exact exchange at short range"),
    ("PBE", r"\bPBE\b", "a semilocal density functional; gaps come out too small with it"),
    ("SOC", r"\bSOC\b", "spin-orbit coupling"),
    ("one-shot", r"\bone-shot\b", "evaluated on the orbitals of a simpler theory, which are not improved with it"),
    ("Γ only", r"Γ only", "at one point of the Brillouin zone, its centre"),
    ("embedded", r"\bembedded\b", "a cluster of atoms in the point charges of the crystal around it"),
    ("host gap", r"\bhost gap\b", "the gap of the perfect crystal in a cell of the same size, not of the defect's cell"),
    ("known, assumed", r"\(assumed\)", "standard deviations: what was estimated of the error, and what is taken for sources of error that nobody estimated"),
    ("×÷", "×÷", "a standard deviation that is a factor, either way"),
    ("σ", "σ", "one standard deviation: the root of the sum of the squares of the known, the assumed and the measured error"),
    ("ln evidence", r"\bln evidence\b|\bln of the probability\b", "natural logarithm of the probability of the measurements if the candidate is the emitter; a difference of one is a factor of e"),
    ("bit", r"\bbits?\b", "of information about which candidate it is; one bit decides between two"),
    ("detection band", r"\bdetection band\b", "the wavelengths that a filter lets through to the detector; where in it the maximum lies was not read"),
    ("Stokes shift", r"\bStokes shift\b", "from where absorption begins down to the maximum of the emission; measured: from where it was excited, so at most that"),
    ("polarisation", r"\b[Pp]olarisation\b", "degree of linear polarisation: 1 if a turning polariser can block the light, 0 if it makes no difference; of one particle, averaged over how it may lie"),
    ("g²(0)", r"g²\(0\)", "coincidences of photons at zero delay over those of independent light: below one half for a single emitter"),
    ("⟨N⟩", "⟨N⟩", "mean number of excitons that one laser pulse creates in a particle"),
    ("ON, GRAY, OFF", r"\bGRAY\b|\bOFF\b", "levels of brightness between which a blinking particle changes, bright to dark"),
    ("f", r"\bOscillator strength\b|\boscillator strength\b", "oscillator strength: how strongly light couples to the transition; one is strong"),
    ("radiative", r"\bradiative\b", "lifetime if nothing but the emission of light ended it; the measured one is it times the quantum yield"),
    ("local field", r"\blocal field\b", "by how much the field at the emitter exceeds the mean one; that of a virtual cavity is the strongest in use"),
    ("free carrier", r"\bfree carrier\b", "the electron or hole in the band that meets the level"),
    ("μ, ε", r"μ = ", "reduced mass of electron and hole in electron masses m₀, and relative permittivity"),
    ("ΔQ", "ΔQ", "mass-weighted distance between the geometries before and after the emission"),
    ("Huang-Rhys factor", r"\bHuang-Rhys\b", "mean number of phonons that an emission leaves behind"),
    ("2I*", r"2I\*", "a measure of misfit for counted photons, near the degrees of freedom for a good fit"),
)  # fmt: skip


def meanings(page: str) -> list[tuple[str, str]]:
    """Symbols that stand in the words of a page, and what they mean, in their order.

    Parameters
    ----------
    page
        HTML.
    """
    words = re.sub(r"<(svg|script|style)\b.*?</\1>|<[^>]*>", "", page, flags=re.DOTALL)
    return [(symbol, meaning) for symbol, pattern, meaning in _MEANING if re.search(pattern, words)]
