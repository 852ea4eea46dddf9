"""Accuracy against simulated truth: seed and size are free, and a table shows goal, library and ours side by side.

`python -m pytest tests/accuracy`, or with another seed and more windows
`ACCURACY_SEED=7 ACCURACY_N=10000 python -m pytest tests/accuracy`. With ACCURACY_RECORD=FILE the table is also written
as JSON; docs/theories.md is made from docs/measured/accuracy.json.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from core.analyzers import code_hash, discover, evaluate
from tests.accuracy.simulators import Floats, windows_of

DEFAULT_SEED = 20261121
DEFAULT_COUNT = 1_500


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
    theory = request.path.stem.removeprefix("test_").removesuffix("_accuracy")

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table after the tests, and record it where that is asked for."""
    scores = config.stash.get(SCORES, [])
    if not scores:
        return
    terminalreporter.section("accuracy: goal, library, ours")
    for line in aligned([Score("theory", "claim", "goal", "library", "ours"), *scores]):
        terminalreporter.write_line(line)
    if record := os.environ.get("ACCURACY_RECORD"):
        write_record(Path(record), scores)


def write_record(path: Path, scores: list[Score]) -> None:
    """The table as JSON, theory by theory, each with the hash of the code that it was measured on."""
    theories = {
        theory: {
            "code": code_hash(theory),
            "scores": [
                {"claim": each.claim, "goal": each.goal, "library": each.library, "ours": each.ours}
                for each in scores
                if each.theory == theory
            ],
        }
        for theory in sorted({each.theory for each in scores})
    }
    facts = {
        "day": datetime.now(UTC).date().isoformat(),
        "seed": chosen("ACCURACY_SEED", DEFAULT_SEED),
        "windows": chosen("ACCURACY_N", DEFAULT_COUNT),
    }
    path.write_text(json.dumps({**facts, "theories": theories}, indent=1, ensure_ascii=False) + "\n")


def aligned(rows: list[Score]) -> Iterator[str]:
    """The rows as lines with columns of one width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(Score._fields))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
