"""What every test shares: compiled kernels are kept between runs, and no setting of the user's leaks in."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(sys.prefix) / "kernels"))
os.environ["OMP_NUM_THREADS"] = "1"

# what a busy machine does to one example says nothing about the code
settings.register_profile("house", deadline=None)
settings.load_profile("house")

TESTS = Path(__file__).parent
# in which folders the Makefile looks for tests with these marks; to look everywhere takes half a minute each time
PLACES = {
    ("alone",): ("serving", "loadtests", "training"),
    ("waits",): ("serving",),
    ("serve", "slow"): ("serving", "training"),
    ("serve",): ("serving",),
}


@pytest.hookimpl(tryfirst=True)  # before any test is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that `make test slow` would not find."""
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        wanted = next((folders for kind, folders in PLACES.items() if marks.issuperset(kind)), None)
        if wanted and item.path.relative_to(TESTS).parts[0] not in wanted:
            raise pytest.UsageError(f"{item.nodeid}: the Makefile looks for such tests in {' and '.join(wanted)} only")
