"""The one sentence for an installation without an optional package."""

from __future__ import annotations

from midgap.structures.errors import InputError


def missing(package: str, purpose: str) -> InputError:
    """What to raise when a package of the extra ``photons`` is not installed."""
    return InputError(f"{purpose} needs {package}, which is not installed; get it with: pip install 'midgap[photons]'.")
