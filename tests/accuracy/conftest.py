"""Accuracy against simulated truth: seed and size are free, and a table shows goal, library and ours side by side.

`python -m pytest tests/accuracy`, or with another seed and more windows
`ACCURACY_SEED=7 ACCURACY_N=10000 python -m pytest tests/accuracy`. With ACCURACY_RECORD=FILE the table is also merged
into that JSON, theory by theory; docs/theories.md is made from docs/measured/accuracy.json. A theory is recorded only
when all its tests ran and passed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bench.records import Record, merge_record
from core.analyzers import code_hash, discover, evaluate
from tests.accuracy.simulators import Floats, windows_of

DEFAULT_SEED = 20261121
DEFAULT_COUNT = 1_500
HERE = Path(__file__).parent


class Score(NamedTuple):
    """One line of the table."""

    theory: str
    claim: str
    goal: str
    library: str
    ours: str


SCORES = pytest.StashKey[list[Score]]()


def chosen(variable: str, default: int) -> int:
    """A whole number from the environment."""
    return int(os.environ.get(variable, default))


@pytest.fixture
def count() -> int:
    """Windows simulated for each case."""
    return chosen("ACCURACY_N", DEFAULT_COUNT)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Randomness of this test's own, so that tests do not depend on their order."""
    return np.random.default_rng([chosen("ACCURACY_SEED", DEFAULT_SEED), zlib.crc32(request.node.name.encode())])


@pytest.fixture
def score(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Adds a line to the table."""
    scores = request.config.stash.setdefault(SCORES, [])
    theory = theory_of(request.node.nodeid)

    def add(claim: str, *, goal: str, ours: str, library: str = "-") -> None:
        scores.append(Score(theory, claim, goal, library, ours))

    return add


@pytest.fixture
def measure() -> Callable[[str, Floats], dict[str, Floats]]:
    """The columns that a theory gives on windows with these returns."""
    return lambda theory, returns: dict(discover()[theory].analyze(windows_of(returns)))


@pytest.fixture
def votes() -> Callable[[str, Floats], Floats]:
    """The votes of a theory on windows with these returns."""

    def vote(theory: str, returns: Floats) -> Floats:
        return np.array([reading.vote for reading in evaluate(discover()[theory], windows_of(returns))])

    return vote


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave these out of the coverage: tracing takes a tenth to a fifth more time, and numbers are proven."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.no_cover)


def theory_of(node: str) -> str:
    """The theory that a test, named by its node, is about."""
    return Path(node.split("::", maxsplit=1)[0]).stem.removeprefix("test_").removesuffix("_accuracy")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the table after the tests, and record it where that is asked for."""
    scores = config.stash.get(SCORES, [])
    if scores:
        terminalreporter.section("accuracy: goal, library, ours")
        for line in aligned([Score("theory", "claim", "goal", "library", "ours"), *scores]):
            terminalreporter.write_line(line)
    if record := os.environ.get("ACCURACY_RECORD"):
        measured = {score.theory for score in scores}
        missed = unfinished(terminalreporter, exitstatus, config)
        whole = measured - missed if missed is not None else set()
        merge_record(Path(record), entries([score for score in scores if score.theory in whole]))
        left = ", ".join(sorted((measured | (missed or set())) - whole))
        if left:
            terminalreporter.write_line(f"not recorded, for not all of its tests ran and passed: {left}")


def unfinished(reporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> set[str] | None:
    """The theories of which a test failed or did not run; None where that cannot be told: single tests, or a break."""
    finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if not finished or any("::" in argument for argument in config.args):
        return None
    faults = ("failed", "error", "skipped", "xfailed", "deselected")
    return {theory_of(report.nodeid) for fault in faults for report in reporter.stats.get(fault, [])}


def entries(scores: list[Score]) -> dict[str, Record]:
    """The table theory by theory, each with its day, seed and size and the hash of the code that it was measured on."""
    facts = {
        "day": datetime.now(UTC).date().isoformat(),
        "seed": chosen("ACCURACY_SEED", DEFAULT_SEED),
        "windows": chosen("ACCURACY_N", DEFAULT_COUNT),
    }
    found: dict[str, Record] = {
        score.theory: {"code": code_hash(score.theory), **facts, "scores": []} for score in scores
    }
    for score in scores:
        line = {"claim": score.claim, "goal": score.goal, "library": score.library, "ours": score.ours}
        found[score.theory]["scores"].append(line)
    return found


def aligned(rows: list[Score]) -> Iterator[str]:
    """The rows as lines with columns of one width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(Score._fields))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
