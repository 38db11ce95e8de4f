"""Comparisons as earlier versions wrote them."""

from __future__ import annotations

from typing import Any

NOT_WEIGHED = "From a file of version 1, which held no evidence: compare again to have it."


def comparison_from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 had candidates from levels only, each with its differences to measured PL energies."""
    candidates: list[dict[str, Any]] = []
    names: set[str] = set()
    for old in data["candidates"]:
        new = {key: x for key, x in old.items() if key not in ("energy_eV", "wavelength_nm", "uncertainties", "tests")}
        name = f"{old['model'] or old['label']}:{old['transition'].replace(' → ', '-')}"
        number = next(n for n in range(1, len(names) + 2) if (name if n == 1 else f"{name}-{n}") not in names)
        name = name if number == 1 else f"{name}-{number}"
        names.add(name)
        sources = [
            {"source": u["source"], "value": u["value_eV"], "note": u.get("note", "")} for u in old["uncertainties"]
        ]
        energy = {"observable": "pl_peak_eV", "value": old["energy_eV"], "uncertainties": sources}
        candidates.append(new | {"name": name, "origin": "levels", "predictions": [energy]})
    return data | {
        "candidates": candidates,
        "particles": {"labels": [], "kinds": []},
        "assumptions": [{}],
        "reference": 0,
        "ensembles": [],
        "evidence": [],
        "missing": [],
        "totals": {"observables": [], "candidates": [], "left_out": {}, "log_evidence": []},
        "conventions": [NOT_WEIGHED],
    }


def comparison_from_2(data: dict[str, Any]) -> dict[str, Any]:
    """Version 2 gave bounds a mean and did not say which records enter; its means of bounds alone stay as their bounds."""
    ensembles = []
    for old in data["ensembles"]:
        only_bounds = old["n"] > 0 and old["n"] == old["n_bounds"]
        told = {"mean": None, "spread": None, "bounds": old["mean"]} if only_bounds else {}
        ensembles.append(old | told)
    return data | {"ensembles": ensembles, "statements": [data["answer"]]}


def comparison_from_3(data: dict[str, Any]) -> dict[str, Any]:
    """Version 3 compared the candidates that are left on nothing more than all of them."""
    return data | {"narrowed": data["totals"]}
