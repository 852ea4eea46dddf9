"""In which steps a size is counted: as the market says, and nobody guesses."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from core.adapters.coinbase.inspection import Inspection
from core.adapters.coinbase.market import CoinbaseMarket
from core.adapters.coinbase.rest import Product
from core.adapters.exchange_http import Pace, Surroundings
from core.adapters.ledger.ledger import Ledger
from core.adapters.replay.market import ReplayMarket
from core.adapters.synthetic.market import SyntheticMarket
from core.adapters.synthetic.path import COINS
from core.market import SYMBOLS
from core.risk.size import FINEST, Step
from core.settings.sources import load_settings
from serving.risk import build_risk_desk, seed_accounts
from tests.core.books import HandClock


class CoarseExchange:
    """An exchange that takes whole tens of DOGE, thirty at least, and has forgotten all others."""

    clock_offset_ms = 0

    async def read_clock(self, *, deadline: float) -> int:
        return 0

    async def products(self, symbols: Iterable[str], *, deadline: float) -> tuple[Product, ...]:
        return (Product("DOGE-USD", Decimal("0.00001"), Decimal(10), Decimal(30), "online", True),)


async def test_the_steps_of_the_exchange_are_the_ones_that_it_tells() -> None:
    market = CoinbaseMarket()
    assert market.step("DOGE-USD") == FINEST  # it was not asked yet
    exchange = CoarseExchange()
    market._inspection = Inspection(exchange, pace=Pace(), surroundings=Surroundings())  # type: ignore[arg-type]
    assert await market.problem() is None
    assert market.step("DOGE-USD") == Step(Decimal(10), Decimal(30))
    assert market.step("BTC-USD") == FINEST
    await market.close()


def test_a_step_of_the_generator_is_worth_less_than_a_cent_and_no_needless_digit() -> None:
    market = SyntheticMarket(7)
    for symbol in SYMBOLS:
        worth = market.step(symbol).size * Decimal(repr(COINS[symbol].anchor))
        assert Decimal("0.001") <= worth < Decimal("0.01")
    assert market.step("DOGE-USD") == Step(Decimal("0.01"), Decimal("0.01"))


def test_recordings_name_no_step(tmp_path: Path) -> None:
    assert ReplayMarket(tmp_path).step("BTC-USD") == FINEST


async def test_the_server_sizes_in_the_steps_of_its_market(ledger: Ledger, tmp_path: Path) -> None:
    market = SyntheticMarket(7)
    settings = load_settings({"CRPBOT__RUNTIME__STATE_FOLDER": str(tmp_path)}, tmp_path).settings
    await seed_accounts(ledger)
    bench = await build_risk_desk(settings, ledger, market, HandClock()).bench("paper", ["DOGE-USD"])
    assert bench.step("DOGE-USD") == market.step("DOGE-USD")
