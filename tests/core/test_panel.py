"""A group of theories: the fault or slowness of one is named and touches no other, and no row its neighbours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from core.analysis import Columns, Field, Findings, Missing, Opinion, Reading
from core.analyzers import Analyzer, discover
from core.errors import CrpbotError
from core.market import Windows, stack_windows
from core.panel import LocalAnalysts, absent, compute, merge, warm_up
from tests.fakes import walk_candles

THEORIES = tuple(discover())
POISON = "XRP-USD"


def last_close(windows: Windows) -> Columns:
    return {"price": windows.close[:, -1]}


def always_raise(windows: Windows) -> Columns:
    raise ZeroDivisionError("a secret of the trace")


def raise_on_poison(windows: Windows) -> Columns:
    if POISON in windows.symbols:
        raise ValueError("poison")
    return last_close(windows)


SOUND = Analyzer(
    name="sound",
    explanation="The last close.",
    fields={"price": Field("the last close")},
    min_length=10,
    undefined="no price",
    analyze=last_close,
    read=lambda values: Opinion(0.5, f"closed at {values['price']:.2f}"),
)


@pytest.fixture(autouse=True)
def theories(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue with some more theories in it, for one test."""
    for name, analyze in {"sound": last_close, "raising": always_raise, "delicate": raise_on_poison}.items():
        monkeypatch.setitem(discover(), name, replace(SOUND, name=name, analyze=analyze))  # type: ignore[arg-type]


def batch(*symbols: str, length: int = 20) -> Windows:
    return stack_windows([walk_candles(symbol, count=length) for symbol in symbols], length)


def plenty() -> float:
    return 60.0


def names(findings: Findings) -> tuple[list[str], list[tuple[str, str]]]:
    """Who answered, and who did not and why."""
    return [reading.theory for reading in findings.readings], [(gap.theory, gap.reason) for gap in findings.missing]


def test_a_theory_that_raises_is_named_and_the_others_answer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL, "core.panel"):
        found = compute([batch("BTC-USD", "ETH-USD")], ("raising", "sound"), plenty)
    assert [names(row) for row in found[0]] == [(["sound"], [("raising", "failed")])] * 2
    detail = found[0][0].missing[0].detail
    assert detail == "the theory raised ZeroDivisionError; the log has the trace"


def test_the_log_has_the_trace_of_a_theory_that_raised(caplog: pytest.LogCaptureFixture) -> None:
    compute([batch("BTC-USD")], ("raising",), plenty)
    assert "theory raising failed on BTC-USD as of 17724" in caplog.text
    assert "a secret of the trace" in caplog.text


def test_a_poisoned_row_does_not_sink_its_neighbours() -> None:
    symbols = ("BTC-USD", POISON, "ETH-USD")
    found = compute([batch(*symbols)], ("delicate", "sound"), plenty)[0]
    assert [names(row)[0] for row in found] == [["delicate", "sound"], ["sound"], ["delicate", "sound"]]
    alone = [compute([batch(symbol)], ("delicate", "sound"), plenty)[0][0] for symbol in symbols]
    assert found == alone


def test_the_deadline_is_checked_between_theories() -> None:
    clock: Iterator[float] = iter([2.0, 1.0, 0.0, -1.0])
    batches = [batch("BTC-USD"), batch("ETH-USD", length=30)]
    found = compute(batches, ("sound", "delicate"), lambda: next(clock))
    assert [names(rows[0]) for rows in found] == [(["sound"], [("delicate", "deadline")])] * 2


def test_every_batch_and_row_gets_its_own_findings_in_order() -> None:
    batches = [batch("BTC-USD", "ETH-USD"), batch("SOL-USD", length=30)]
    found = compute(batches, ("sound",), plenty)
    prices = [[row.readings[0].values["price"] for row in rows] for rows in found]
    assert prices == [windows.close[:, -1].tolist() for windows in batches]


def test_a_window_too_short_for_a_theory_is_a_problem_not_a_number() -> None:
    reading = compute([batch("BTC-USD", length=9)], ("sound",), plenty)[0][0].readings[0]
    assert reading == Reading("sound", {}, 0.0, "", "needs 10 candles, the window has 9")


def test_a_fault_while_warming_up_is_fatal() -> None:
    warm_up([batch("BTC-USD")], ("sound",))
    with pytest.raises(ZeroDivisionError):
        warm_up([batch("BTC-USD")], ("sound", "raising"))


async def test_local_analysts_give_what_compute_gives() -> None:
    windows = batch("BTC-USD", "ETH-USD", length=200)
    found = await LocalAnalysts(lambda: 0.0).analyze([windows], THEORIES, timeout_seconds=60)
    assert found == compute([windows], THEORIES, plenty)


async def test_local_analysts_keep_the_deadline() -> None:
    found = await LocalAnalysts(ticking([0.0, 0.5, 2.0])).analyze(
        [batch("BTC-USD")], ("sound", "delicate"), timeout_seconds=1.0
    )
    assert names(found[0][0]) == (["sound"], [("delicate", "deadline")])


async def test_an_answer_without_a_single_reading_is_an_error() -> None:
    with pytest.raises(CrpbotError) as refused:
        await LocalAnalysts(ticking([0.0, 2.0])).analyze([batch("BTC-USD")], ("sound",), timeout_seconds=1.0)
    assert refused.value.reason == "DEADLINE_EXCEEDED"


def ticking(instants: list[float]) -> Callable[[], float]:
    """A clock that shows these instants, one a look."""
    shown = iter(instants)
    return lambda: next(shown)


def test_findings_of_several_groups_are_merged_by_name() -> None:
    late = Missing("b", "failed", "")
    reading = Reading("c", {}, 0.0, "")
    merged = merge([absent(("d",), "unavailable", "no Ray"), Findings((reading,), (late,)), absent((), "", "")])
    assert merged == Findings((reading,), (late, Missing("d", "unavailable", "no Ray")))
