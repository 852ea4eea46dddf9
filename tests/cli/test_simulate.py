"""`crpbot simulate`: what is reported is what stands in its ledger, and the same course comes out the same."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.simulating.report import REPORT, TRADES
from cli.simulating.simulate import LEDGER, read_trades
from core.adapters.ledger.ledger import Ledger
from core.adapters.synthetic.market import SyntheticMarket
from core.analysis import Findings
from core.analyzers import discover
from core.desk import Defaults, Desk
from core.errors import CrpbotError
from core.market import Windows, cut_windows, milliseconds
from core.panel import LocalAnalysts, compute
from core.signal import Mode
from core.simulating.course import BATCH_ROWS, BatchedAnalysts, Course
from tests.cli.conftest import Crpbot
from tests.core.books import NOON

CAPITAL = 100_000

Row = dict[str, str]


def read_csv(folder: Path) -> list[Row]:
    with (folder / TRADES).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def read_booked(folder: Path) -> tuple[int, Decimal]:
    ledger = await Ledger.open(f"sqlite:///{folder / LEDGER}")
    try:
        trades, booked = await read_trades(ledger)
        return len(trades), booked
    finally:
        await ledger.close()


def run(folder: Path, days: int) -> dict[str, Any]:
    """In this process: a server's settings are not around it, and nothing stops it after a minute."""
    order = f"simulate --days {days} --interval 5m --start 2026-01-06 --mode aggressive --json --out".split()
    done = CliRunner().invoke(app, [*order, str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"{288 * days:,} of {288 * days:,}" in done.stderr, "progress is told"
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def check(summary: dict[str, Any], folder: Path, days: int) -> list[Row]:
    """The page, the file and the ledger say the same."""
    rows = read_csv(folder)
    stored, booked = asyncio.run(read_booked(folder))
    closed = [row for row in rows if row["outcome"] in {"win", "loss", "breakeven"}]
    assert (summary["decisions"], summary["signals"]) == (288 * days, len(rows))
    assert (summary["trades"], stored) == (len(closed), len(rows))
    assert Decimal(summary["balance_usd"]) == CAPITAL + booked
    assert sum((Decimal(row["pnl_usd"]) for row in closed), Decimal(0)) == booked
    assert len({row["signal_id"] for row in rows}) == len(rows), "one trade a signal"
    page = (folder / REPORT).read_text(encoding="utf-8")
    for line in summary["figures"]:
        assert (
            f"<td>{escape(line['name'])}</td><td>{line['value']}</td><td>{line['interval']}</td><td>{line['n']}" in page
        )
    assert "Prices are invented" in page
    assert (page.count("<svg"), page.count("<img"), page.count("<script")) == (4, 0, 0), "it needs no other file"
    return rows


def test_a_day_is_reported_as_it_stands_in_the_ledger_and_comes_out_the_same_again(empty_folder: Path) -> None:
    folder, again = empty_folder / "one", empty_folder / "two"
    summary = run(folder, 1)
    rows = check(summary, folder, 1)
    assert rows, "a day without a signal would prove nothing"
    assert run(again, 1)["figures"] == summary["figures"]
    assert read_csv(again) == rows


@pytest.mark.slow
def test_two_weeks_are_reported_as_they_stand_in_the_ledger(empty_folder: Path) -> None:
    summary = run(empty_folder / "out", 14)
    assert len(check(summary, empty_folder / "out", 14)) >= 20
    assert (empty_folder / "out" / REPORT).read_text(encoding="utf-8").count("closed trades") >= 2


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--mode", "bold"], "mode"), (["--symbol", "?"], "symbol"), (["--interval", "7m"], "interval")],
)
def test_what_cannot_be_simulated_is_refused_by_name(
    crpbot: Crpbot, tmp_path: Path, words: list[str], said: str
) -> None:
    refused = crpbot("simulate", "--out", str(tmp_path), *words)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"error: {said}")


def test_a_course_counts_its_slots() -> None:
    course = Course("BTC-USD", "5m", NOON, 60, Mode.CONSERVATIVE)
    assert (course.slots, course.last) == (17_280, NOON + timedelta(days=60) - timedelta(minutes=5))


@pytest.mark.parametrize(("start", "days"), [(NOON, 0), (NOON, 367), (NOON + timedelta(minutes=1), 1)])
def test_a_course_that_cannot_be_walked_is_refused(start: Any, days: int) -> None:
    with pytest.raises(CrpbotError):
        Course("BTC-USD", "5m", start, days, Mode.CONSERVATIVE)


def computing(seen: list[int]) -> Callable[[Windows], Any]:
    async def compute_rows(windows: Windows) -> list[Findings]:
        seen.append(len(windows))
        return compute([windows], tuple(discover()), lambda: 1.0e9)[0]

    return compute_rows


async def test_a_reading_of_the_batch_is_that_of_the_window_alone() -> None:
    market = SyntheticMarket(7)
    (candles,) = await market.latest(["BTC-USD"], "5m", 200 + 8, now_ms=milliseconds(NOON))
    seen: list[int] = []
    batched = BatchedAnalysts(candles, 200, origin=market.identity, compute=computing(seen))
    now = [NOON - timedelta(minutes=40)]
    desks = [
        Desk(market=market, analysts=analysts, now=lambda: now[0], defaults=Defaults("5m", 200))
        for analysts in (batched, LocalAnalysts(lambda: 0.0))
    ]
    for _ in range(9):
        one, other = [await desk.study(["BTC-USD"], None, timeout_seconds=60.0) for desk in desks]
        assert one[0].analysis == other[0].analysis  # type: ignore[union-attr]
        now[0] += timedelta(minutes=5)
    assert seen == [9], "computed at once"


async def test_what_was_not_computed_for_the_course_is_refused() -> None:
    market = SyntheticMarket(7)
    (candles,) = await market.latest(["BTC-USD"], "5m", 210, now_ms=milliseconds(NOON))
    (other,) = await SyntheticMarket(8).latest(["BTC-USD"], "5m", 210, now_ms=milliseconds(NOON))
    (later,) = await market.latest(["BTC-USD"], "5m", 200, now_ms=milliseconds(NOON + timedelta(hours=1)))
    analysts = BatchedAnalysts(candles, 200, origin=market.identity, compute=computing([]))
    theories = tuple(discover())
    for strange in (other, later):
        windows = cut_windows(strange, 200, origin=market.identity)
        with pytest.raises(CrpbotError, match="not what was computed"):
            await analysts.analyze([windows], theories, timeout_seconds=1.0)
    windows = cut_windows(candles, 200, origin=market.identity)
    with pytest.raises(CrpbotError, match="not what was computed"):
        await analysts.analyze([windows], theories[:1], timeout_seconds=1.0)


async def test_the_next_batch_is_computed_while_one_is_decided_on_and_old_ones_are_forgotten() -> None:
    market = SyntheticMarket(7)
    count = 200 - 1 + 2 * BATCH_ROWS + 5
    (candles,) = await market.latest(["BTC-USD"], "5m", count, now_ms=milliseconds(NOON))
    seen: list[int] = []

    async def compute_rows(windows: Windows) -> list[Findings]:
        seen.append(len(windows))
        return [Findings((), ())] * len(windows)

    analysts = BatchedAnalysts(candles, 200, origin=market.identity, compute=compute_rows)
    windows = cut_windows(candles, 200, origin=market.identity)
    for place, computed in ((0, [1024, 1024]), (1023, [1024, 1024]), (1024, [1024, 1024, 5]), (2052, [1024, 1024, 5])):
        row = windows.row(place)
        assert await analysts.analyze([row], tuple(discover()), timeout_seconds=1.0) == [[Findings((), ())]]
        await asyncio.sleep(0)
        assert seen == computed
    assert np.array_equal(windows.row(2052).close[0], candles.close[-200:])
