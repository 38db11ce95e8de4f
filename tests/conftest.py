"""What several tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real output files of engines and detectors, kept beside the checkout, not in it."""
    if not SHARED.is_dir():
        pytest.skip(f"the real data files are not at {SHARED}")
    return SHARED
