"""Downloads from a Coinbase on the loopback: whatever goes wrong on the way, the file is what the exchange has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.adapters.coinbase.market import CoinbaseMarket
from core.adapters.exchange_http import Pace, Surroundings
from core.adapters.history.download import Outcome, download
from core.adapters.history.file import read_memo
from core.adapters.history.plan import Series
from core.adapters.history.raw_file import read_raw
from core.gate import RawCandles
from tests.fake_coinbase import FakeCoinbase, Reply
from tests.fake_coinbase_market import MINUTE_MS, Flaw, truth
from tests.loopback_server import Wire

NOW_MS = 1_760_054_400_000
BEGIN_MS = NOW_MS - 3 * 86_400_000
COUNT = 3_100
HOLES = {BEGIN_MS + minute * MINUTE_MS for minute in (7, *range(1_000, 1_040), 2_000, 2_002)}
PACE = Pace(requests_per_second=1_000, attempt_seconds=30.0, first_wait_seconds=0.01)
SILENT = {Wire.HANG, Wire.DRIP}

FAULTS = [
    *(Reply.RATE_LIMITED, Reply.HTML, Reply.DEEP, Reply.LIST, Reply.WRONG_SCHEMA),
    *(Wire.RESET, Wire.HANG, Wire.DRIP, Wire.TRUNCATED, Wire.TRUNCATED_JSON, Wire.TRUNCATED_GZIP),
    # a page that is told otherwise only once and for good cannot be known from the truth
    *(flaw for flaw in Flaw if flaw is not Flaw.REVISED),
]


@pytest.fixture
def exchange() -> Iterator[FakeCoinbase]:
    with FakeCoinbase(now_ms=NOW_MS, public_per_second=1_000_000) as served:
        served.holes["BTC-USD"] = HOLES
        yield served


def fetch(exchange: FakeCoinbase, folder: Path, *, interval: str = "1m", pace: Pace = PACE) -> Outcome:
    async def no_wait(seconds: float) -> None:
        pass

    async def run() -> Outcome:
        world = Surroundings(now_ms=lambda: NOW_MS)
        market = CoinbaseMarket(exchange.url, pace=pace, surroundings=world)
        series = Series("BTC-USD", interval, BEGIN_MS, BEGIN_MS + COUNT * MINUTE_MS)
        (outcome,) = await download(
            market, folder, [series], tell=lambda *_: None, now_ms=lambda: NOW_MS, sleep=no_wait
        )
        await market.close()
        return outcome

    return asyncio.run(run())


def expected() -> RawCandles:
    times = np.array([at for at in range(BEGIN_MS, BEGIN_MS + COUNT * MINUTE_MS, MINUTE_MS) if at not in HOLES])
    return RawCandles(times, *truth("BTC-USD", times))


def check(outcome: Outcome) -> None:
    assert outcome.problem is None
    assert outcome.file is not None
    for found, wanted in zip(read_raw(outcome.file), expected(), strict=True):
        np.testing.assert_allclose(found.astype(wanted.dtype), wanted, rtol=0, atol=1e-8)
    memo = read_memo(outcome.file)
    assert memo is not None
    told = {at for begin, end in memo.holes.tolist() for at in range(begin, end, MINUTE_MS)}
    assert told == HOLES


def test_the_file_holds_the_truth_and_its_holes_are_the_exchanges(exchange: FakeCoinbase, tmp_path: Path) -> None:
    check(fetch(exchange, tmp_path))
    pages = -(-COUNT // 300)
    assert pages <= len(exchange.asked()) <= pages + 4  # pieces do not end on pages; the long hole is asked for twice


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_on_the_way_leaves_no_trace(exchange: FakeCoinbase, tmp_path: Path, fault: Reply | Flaw | Wire) -> None:
    exchange.plan(fault, times=2 if isinstance(fault, Wire) else 1)
    check(fetch(exchange, tmp_path, pace=replace(PACE, attempt_seconds=0.4) if fault in SILENT else PACE))


def test_server_errors_are_waited_out_and_lasting_ones_end_in_words(exchange: FakeCoinbase, tmp_path: Path) -> None:
    exchange.plan(Reply.STATUS, 503, times=30)
    check(fetch(exchange, tmp_path / "waited"))
    exchange.plan(Reply.STATUS, 503, times=10_000)
    outcome = fetch(exchange, tmp_path / "ended")
    assert outcome.problem is not None
    assert "BTC-USD 1m" in outcome.problem
    assert "what is downloaded stays, and the same command goes on from there" in outcome.problem
    exchange.heal()
    check(fetch(exchange, tmp_path / "ended"))


def test_an_interval_that_the_exchange_has_not_names_the_one_to_fetch(exchange: FakeCoinbase, tmp_path: Path) -> None:
    outcome = fetch(exchange, tmp_path, interval="4h")
    assert "fetch 2h instead" in (outcome.problem or "")


def test_what_is_known_is_not_asked_for_again(exchange: FakeCoinbase, tmp_path: Path) -> None:
    fetch(exchange, tmp_path)
    before = len(exchange.asked())
    assert fetch(exchange, tmp_path).problem is None
    assert len(exchange.asked()) == before
