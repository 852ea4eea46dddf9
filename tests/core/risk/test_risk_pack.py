"""The firms' rules as files: what each pack says against the published figures, and what a reader must refuse."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib import resources

import pytest

from core.errors import Code, CrpbotError
from core.risk.pack import (
    DEFAULT_PACK,
    GapTrading,
    Label,
    RiskPack,
    TotalLossMode,
    discover_packs,
    find_pack,
    read_pack,
)

FTMO = ["ftmo-1step", "ftmo-2step-challenge", "ftmo-2step-funded", "ftmo-2step-verification"]

# the published table: target, daily loss, total loss, how it is measured, trading days, best day
PUBLISHED = {
    "ftmo-2step-challenge": ("0.10", "0.05", "0.10", TotalLossMode.STATIC, 4, None),
    "ftmo-2step-verification": ("0.05", "0.05", "0.10", TotalLossMode.STATIC, 4, None),
    "ftmo-2step-funded": (None, "0.05", "0.10", TotalLossMode.STATIC, 0, None),
    "ftmo-1step": ("0.10", "0.03", "0.10", TotalLossMode.TRAILING, 0, "0.50"),
}
# our symbol: the firm's, units of a lot, most lots
CONTRACTS = {
    "BTC-USD": ("BTCUSD", 1, 5),
    "ETH-USD": ("ETHUSD", 10, 5),
    "XRP-USD": ("XRPUSD", 10_000, 5),
    "ADA-USD": ("ADAUSD", 100_000, 5),
    "DOGE-USD": ("DOGEUSD", 100_000, 1),
    "LTC-USD": ("LTCUSD", 100, 5),
    "SOL-USD": ("SOLUSD", None, 5),
    "AVAX-USD": ("AVAUSD", None, 5),
    "LINK-USD": ("LNKUSD", None, 5),
}


def text_of(name: str) -> str:
    """The file of a pack as it is installed."""
    return resources.files("core.risk").joinpath("packs", f"{name}.toml").read_text(encoding="utf-8")


def test_the_default_pack_is_the_2_step_challenge() -> None:
    assert find_pack(DEFAULT_PACK).name == "FTMO 2-step Challenge"
    assert list(discover_packs()) == ["custom", *FTMO]


@pytest.mark.parametrize("name", FTMO)
def test_a_pack_says_what_is_published(name: str) -> None:
    pack = find_pack(name)
    target, daily, total, mode, days, best = PUBLISHED[name]
    assert pack.profit_target == (None if target is None else Decimal(target))
    assert (pack.daily_loss, pack.total_loss, pack.total_loss_mode) == (Decimal(daily), Decimal(total), mode)
    assert pack.minimum_trading_days == days
    assert pack.best_day_share == (None if best is None else Decimal(best))
    assert pack.time_zone == "Europe/Prague"
    assert pack.commission_per_side == Decimal("0.000325")
    assert (pack.leverage, pack.max_open_orders) == (Decimal("3.3"), 200)
    assert (pack.first_trade_days, pack.inactivity_days) == (30, 30)
    assert pack.limbo is not None
    assert (pack.limbo.from_fraction, pack.limbo.days) == (Decimal("0.08"), 30)


@pytest.mark.parametrize("name", FTMO)
def test_a_pack_has_the_published_contracts_and_none_for_pol(name: str) -> None:
    found = {
        symbol: (each.firm_symbol, each.units_per_lot, each.max_lots)
        for symbol, each in find_pack(name).contracts.items()
    }
    assert found == CONTRACTS


def test_only_the_funded_account_is_bound_by_news_and_weekends() -> None:
    for name in FTMO:
        pack, funded = find_pack(name), name == "ftmo-2step-funded"
        assert pack.news_minutes == (2 if funded else None)
        assert pack.weekend_holding is not funded
        assert pack.gap_trading is (GapTrading.REFUSE if funded else GapTrading.WARN)


@pytest.mark.parametrize("pack", discover_packs().values(), ids=lambda pack: pack.id)
def test_the_house_stops_at_nine_tenths_of_the_firms_limits(pack: RiskPack) -> None:
    assert pack.daily_guard == pack.daily_loss * Decimal("0.9")
    assert pack.total_guard == pack.total_loss * Decimal("0.9")
    assert pack.warn_share == Decimal("0.8")


@pytest.mark.parametrize("name", FTMO)
def test_every_rule_has_a_dated_source(name: str) -> None:
    sources = {each.rule: each for each in find_pack(name).sources}
    assert len(sources) == 22
    assert sources["daily_loss"].label is Label.OFFICIAL
    assert sources["leverage"].label is Label.SECONDARY
    assert sources["closing"].label is Label.GUESS
    assert sources["daily_guard"].label is Label.HOUSE
    assert all(date(2026, 1, 1) <= each.read_on <= date(2026, 12, 31) and each.where for each in sources.values())


def test_a_pack_for_another_firm_is_one_text() -> None:
    mine = (
        text_of("custom").replace('id = "custom"', 'id = "mine"').replace("daily_loss = 0.05 #", "daily_loss = 0.06 #")
    )
    pack = read_pack(mine, name="mine")
    assert find_pack("mine", packs={**discover_packs(), pack.id: pack}).daily_loss == Decimal("0.06")


def test_an_unknown_pack_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CrpbotError, match="ftmo-2step-challenge") as error:
        find_pack("ftmo-3step")
    assert (error.value.code, error.value.reason) == (Code.NOT_FOUND, "UNKNOWN_PACK")


# what somebody may get wrong in a copy of a pack: the line as it is, as it was written, the field that is refused
MISTAKES = {
    "a missing field": ("warn_share = 0.8\n", "", "warn_share"),
    "an unknown field": ("warn_share = 0.8\n", "warn_share = 0.8\nwarn_at = 1\n", "warn_at"),
    "another id": ('id = "ftmo-1step"', 'id = "ftmo"', "id"),
    "a guard at the firm's limit": ("daily_guard = 0.027", "daily_guard = 0.03", "daily_guard"),
    "a total guard above it": ("total_guard = 0.09", "total_guard = 0.11", "total_guard"),
    "a day above the total": (
        "total_loss = 0.10\ntotal_guard = 0.09",
        "total_loss = 0.02\ntotal_guard = 0.01",
        "daily_loss",
    ),
    "a percentage": ("daily_loss = 0.03", "daily_loss = 3", "daily_loss"),
    "a negative fraction": ("daily_loss = 0.03", "daily_loss = -0.03", "daily_loss"),
    "no number": ("daily_loss = 0.03", "daily_loss = nan", "daily_loss"),
    "a number as text": ("daily_loss = 0.03", 'daily_loss = "3 %"', "daily_loss"),
    "true for a number": ("leverage = 3.3", "leverage = true", "leverage"),
    "no leverage": ("leverage = 3.3", "leverage = 0", "leverage"),
    "a negative commission": ("commission_per_side = 0.000325", "commission_per_side = -0.1", "commission_per_side"),
    "an unknown zone": ('"Europe/Prague"', '"Europe/Prag"', "time_zone"),
    "an unknown mode": ('"eod_trailing"', '"trailing"', "total_loss_mode"),
    "an empty name": ('product = "1-step"', 'product = " "', "product"),
    "half a day": ("minimum_trading_days = 0", "minimum_trading_days = 0.5", "minimum_trading_days"),
    "a word for a flag": ("weekend_holding = true", 'weekend_holding = "yes"', "weekend_holding"),
    "an eighth weekday": ("closes_weekday = 4", "closes_weekday = 7", "closing.closes_weekday"),
    "a closing without a time": ("closes_at = 23:00:00", "closes_at = 23", "closing.closes_at"),
    "gap trading without hours": ("closing = {", 'closing = "none" #', "closing"),
    "gap trading of no minutes": ("gap_minutes = 120", "gap_minutes = 0", "gap_minutes"),
    "a limbo beyond the limit": ("from_fraction = 0.08", "from_fraction = 0.1", "limbo"),
    "a number for a table": ("limbo = {", "limbo = 8 # {", "limbo"),
    "a symbol that is none": ("BTC-USD = {", "BTC = {", "contracts.BTC"),
    "two of one contract": ('firm_symbol = "ETHUSD"', 'firm_symbol = "BTCUSD"', "contracts"),
    "a contract field too many": ('firm_symbol = "BTCUSD"', 'firm_symbol = "BTCUSD", swap = 1', "BTC-USD.swap"),
    "a minimum off the step": ("min_lots = 0.01", "min_lots = 0.015", "BTC-USD.min_lots"),
    "a minimum above the most": ("min_lots = 0.01", "min_lots = 6", "BTC-USD.min_lots"),
    "a source without a day": ('limbo = "official 2026-10-04: ', 'limbo = "official: ', "sources.limbo"),
    "a source of no calendar day": (
        'limbo = "official 2026-10-04: ',
        'limbo = "official 2026-13-04: ',
        "sources.limbo",
    ),
    "an unknown label": ('limbo = "official 2026-10-04: ', 'limbo = "heard 2026-10-04: ', "sources.limbo"),
    "no TOML": ("[contracts]", "[contracts", "ftmo-1step"),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_in_a_pack_is_refused_by_pack_field_and_rule(mistake: str) -> None:
    right, wrong, field = MISTAKES[mistake]
    text = text_of("ftmo-1step")
    assert right in text
    with pytest.raises(CrpbotError) as error:
        read_pack(text.replace(right, wrong, 1), name="ftmo-1step")
    assert error.value.reason == "INVALID_PACK"
    named = error.value.violations[0].field
    assert named.startswith("ftmo-1step")
    assert named.endswith(field)
    assert "; " in error.value.detail or "TOML" in error.value.detail


def test_a_contract_table_that_is_none_is_refused() -> None:
    text = text_of("custom").replace("[contracts]", "").replace('limbo = "none" #', 'limbo = "none"\ncontracts = 5 #')
    with pytest.raises(CrpbotError, match="contracts"):
        read_pack(text, name="custom")
