"""The bytes that the language model is asked are the ones that were read and judged. A difference is a new prompt.

Written anew on purpose, after reading the difference, by

    python -c "from tests.golden.test_prompt_bytes import write; write()"
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from core.analysis import Analysis, Reading
from core.analyzers import discover
from core.deciding.levels import Yardstick
from core.llm.prompt import Question, write_prompt
from core.signal import Mode

FOLDER = Path(__file__).parent
AS_OF = datetime(2026, 3, 2, 12, tzinfo=UTC)


def fixed_question(mode: Mode, *, forecasts: bool = True) -> Question:
    """All fifteen theories' numbers of one window, stored to six digits, so that no machine rounds them otherwise."""
    numbers: dict[str, dict[str, float]] = json.loads((FOLDER / "readings.json").read_text())
    readings = tuple(Reading(name, values, 0.0, "not read") for name, values in numbers.items())
    analysis = Analysis("BTC-USD", "5m", 500, AS_OF, Decimal("104738.92"), "synthetic", True, readings, (), 1.0)
    known = {"lstm": 0.5312, "transformer": 0.4987, "ppo": 0.61, "ensemble": 0.5333} if forecasts else {}
    return Question(
        analysis,
        mode,
        threshold=0.65 if mode is Mode.CONSERVATIVE else 0.55,
        yardstick=Yardstick(Decimal("104738.92"), Decimal("187.4433")),
        change_24h_percent=-1.2345678,
        forecasts=known,
    )


def prompt_bytes(mode: Mode) -> bytes:
    """System and user text as they are sent, one after the other.

    A theory that came after these readings were taken has none among them: its one line that says so is left out here,
    so that adding a theory is one file.
    """
    prompt = write_prompt(fixed_question(mode))
    newer = {f"- {name}: no reading" for name in discover() if name not in golden_theories()}
    user = "\n".join(line for line in prompt.user.split("\n") if line not in newer)
    return f"{prompt.system}\n----- user -----\n{user}\n".encode()


def golden_theories() -> list[str]:
    """The theories whose readings were taken."""
    return list(json.loads((FOLDER / "readings.json").read_text()))


def write() -> None:
    """Stores today's bytes as the golden ones."""
    for mode in Mode:
        (FOLDER / f"prompt_{mode.value}.txt").write_bytes(prompt_bytes(mode))


@pytest.mark.parametrize("mode", Mode, ids=lambda mode: mode.value)
def test_the_bytes_of_a_fixed_prompt_do_not_change(mode: Mode) -> None:
    assert prompt_bytes(mode) == (FOLDER / f"prompt_{mode.value}.txt").read_bytes()


def test_every_theory_speaks_in_the_golden_prompt() -> None:
    text = prompt_bytes(Mode.CONSERVATIVE).decode()
    assert "no reading" not in text
    spoken = re.findall(r"^- (\w+): vote ", text, re.MULTILINE)
    assert spoken == golden_theories()
    assert len(spoken) == 15
    asked = re.findall(r"^- (\w+): (?:vote|no reading)", write_prompt(fixed_question(Mode.CONSERVATIVE)).user, re.M)
    assert asked == list(discover())
