"""What a new calculation changed: the gaps and levels of one set of results against those that were expected."""

from __future__ import annotations

from dataclasses import dataclass

from midgap.defects.report import LevelReport, Levels
from midgap.structures.errors import InputError

COUNT = "number of levels"


@dataclass(frozen=True)
class Change:
    """One number, expected and now.

    Attributes
    ----------
    quantity
        ``gap``, ``number of levels``, or ``level 1 above VBM`` and so on, from below.
    expected, now
        eV, or a number of levels; None is "not there".
    moved
        They differ by more than was allowed, or one of them is not there.
    """

    model: str
    theory: str
    quantity: str
    expected: float | None
    now: float | None
    moved: bool


def changes(expected: Levels, now: Levels, within_eV: float = 0.05) -> tuple[Change, ...]:
    """Compare two sets of results, report by report; what only ``now`` has is left out.

    Reports belong together if model, theory, k-points and cutoff are the same; engine and versions may differ, for what they
    change is often the question.

    Raises
    ------
    InputError
        ``within_eV`` is negative, or nothing was expected.
    """
    if not within_eV >= 0:
        raise InputError(f"An allowed change is zero or more eV, not {within_eV:g}.")
    if not expected.reports:
        raise InputError("Nothing is expected: the file holds no report.")
    new = {_key(report): report for report in now.reports}
    return tuple(
        change for report in expected.reports for change in _of_report(report, new.get(_key(report)), within_eV)
    )


def _key(report: LevelReport) -> tuple[object, ...]:
    return report.model, report.theory


def _of_report(old: LevelReport, new: LevelReport | None, within_eV: float) -> list[Change]:
    before = _numbers(old)
    after = {} if new is None else _numbers(new)
    if new is not None and before.get(COUNT) != after.get(COUNT):
        # Which level became which cannot be said.
        before, after = ({name: found[name] for name in ("gap", COUNT) if name in found} for found in (before, after))
    names = dict.fromkeys([*before, *after])
    return [
        Change(
            model=old.label or old.model,
            theory=old.theory.label,
            quantity=name,
            expected=before.get(name),
            now=after.get(name),
            moved=new is None or _moved(before.get(name), after.get(name), 0 if name == COUNT else within_eV),
        )
        for name in names
    ]


def _moved(before: float | None, after: float | None, allowed: float) -> bool:
    """Two metals agree: neither has a gap."""
    return before != after if before is None or after is None else not abs(after - before) <= allowed


def _numbers(report: LevelReport) -> dict[str, float | None]:
    """The gap, and of a defect the levels in it; resonant ones come and go with the bands around them."""
    found: dict[str, float | None] = {"gap": report.gap_eV}
    if report.defect is not None:
        heights = sorted(level.above_vbm_eV for level in report.levels if level.kind != "resonant")
        found[COUNT] = len(heights)
        found |= {f"level {i} above VBM": height for i, height in enumerate(heights, 1)}
    return found
