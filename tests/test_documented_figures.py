"""What the README shows of a signal and of the loss limits is what the program says of them."""

from __future__ import annotations

import json
from decimal import Decimal

from rich.console import Console

from cli.signals.blocks import signal_block
from core.explaining.explain import explain
from core.risk.pack import find_pack
from core.signals.case_file import read_case
from tests.core.risk_facts import CAPITAL, TODAY, YESTERDAY, facts, judged, trade
from tests.documents import ROOT, code_blocks

GOLDEN = ROOT / "tests" / "golden"
WIDTH = 100


def printed_block() -> str:
    """The stored signal as a terminal of that width shows it."""
    console = Console(width=WIDTH, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(signal_block(json.loads((GOLDEN / "readme_signal.json").read_text())))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines() if line.strip())


def test_the_signal_of_the_readme_is_printed_so() -> None:
    assert printed_block() == code_blocks("README.md", "text")[0]


def test_the_explanation_of_the_readme_is_that_of_its_signal() -> None:
    case, _ = read_case((GOLDEN / "readme_case.json").read_text())
    explanation = explain(case)
    assert explanation.direction.value == json.loads((GOLDEN / "readme_signal.json").read_text())["direction"]
    assert "".join(f"{sentence}\n" for sentence in explanation.sentences) == code_blocks("README.md", "text")[1]


def test_the_worked_example_of_the_readme_comes_out_as_written() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    state = judged(facts({YESTERDAY: 1_200, TODAY: -1_500}, [trade(stop=48_000)]))
    day, total = state.daily, state.total
    assert (day.rule, total.rule) == ("daily_loss", "total_loss")
    assert state.binding == "daily_loss_guard"
    assert f"stood at {day.anchor:,.0f} at midnight in Prague" in readme
    assert f"closes it today at {day.floor:,.0f}, the guard stops new trades at {day.guard_floor:,.0f}" in readme
    assert f"| the guard allows | {day.guard_usd:,.0f} | {total.guard_usd:,.0f} |" in readme
    lost = [each.anchor - state.balance for each in (day, total)]
    assert (
        f"| lost, measured from | {lost[0]:,.0f}, from {day.anchor:,.0f} | {lost[1]:,.0f}, from {total.anchor:,.0f} |"
        in readme
    )
    assert f"| left for one more trade | **{day.free_usd:,.0f}** | {total.free_usd:,.0f} |" in readme
    assert f"{day.guard_floor - day.floor:,.0f} USD above the firm's" in readme


def test_the_guard_of_the_readme_is_that_of_the_pack() -> None:
    pack = find_pack("ftmo-2step-challenge")
    readme = " ".join((ROOT / "README.md").read_text().split())
    shares = [f"{(share * 100).normalize():f} %" for share in (pack.daily_loss, pack.total_loss)]
    guards = [f"{(share * 100).normalize():f} %" for share in (pack.daily_guard, pack.total_guard)]
    assert f"{shares[0]} of the capital that was bought in a day, {shares[1]} in all" in readme
    assert f"lies a tenth of the limit before it, at {guards[0]} and {guards[1]}" in readme
    tenth = Decimal("0.1")
    assert (pack.daily_loss - pack.daily_guard) / pack.daily_loss == tenth
    assert (pack.total_loss - pack.total_guard) / pack.total_loss == tenth
    assert CAPITAL == 100_000
