"""What a call costs: exact, never too little, and by a price list in which a slip is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.chat.prices import SHIPPED, load_prices, require_price
from core.errors import CrpbotError
from core.llm.price import FRAME_TOKENS, Tariff, Usage
from tests.fake_deepseek_answers import PRICES, count_tokens, price_call

FLASH = "deepseek-flash"
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

ROW = """
[peak_hours]
days = ["Mon"]
utc = ["01:00-04:00"]
[[price]]
model = "m"
valid_from = 2026-01-01T00:00:00Z
off_peak = { hit = "0.1", miss = "1", out = 2 }
peak = { hit = 0.2, miss = "2", out = 4 }
source = "the test"
"""

counts = st.integers(0, 400_000)


@given(prompt=counts, share=st.floats(0, 1), completion=counts, minutes=st.integers(0, 7 * 24 * 60 - 1))
def test_a_charge_is_the_providers_bill_rounded_up_to_a_unit(
    prompt: int, share: float, completion: int, minutes: int
) -> None:
    at = MONDAY + timedelta(minutes=minutes)
    hits = int(prompt * share)
    for model in PRICES:
        charged = load_prices().charge(Usage(prompt, hits, completion), model=model, span=(at, at))
        bill = price_call(model, at, prompt=prompt, hits=hits, completion=completion).usd * 10**8
        assert charged is not None
        assert 0 <= charged - bill < 1


@given(system=st.text(max_size=300), user=st.text(max_size=300), minutes=st.integers(0, 7 * 24 * 60 - 1))
def test_a_reservation_is_never_less_than_the_bill(system: str, user: str, minutes: int) -> None:
    at = MONDAY + timedelta(minutes=minutes)
    reserved = load_prices().reserve((system, user), 600, model=FLASH, span=(at, at))
    tokens = count_tokens(system) + count_tokens(user) + FRAME_TOKENS
    assert reserved is not None
    assert reserved >= price_call(FLASH, at, prompt=tokens, hits=0, completion=600).usd * 10**8


@pytest.mark.parametrize(
    ("hour", "minute", "day", "peak"),
    [
        (0, 59, 0, False),
        (1, 0, 0, True),
        (3, 59, 0, True),
        (4, 0, 0, False),
        (6, 0, 4, True),
        (9, 59, 4, True),
        (10, 0, 4, False),
        (2, 0, 5, False),
        (2, 0, 6, False),
    ],
)
def test_peak_hours_are_those_of_the_working_week_in_utc(hour: int, minute: int, day: int, peak: bool) -> None:
    at = MONDAY + timedelta(days=day, hours=hour, minutes=minute)
    price = require_price(load_prices(), FLASH, at)
    assert (price.tariff(at) == price.peak) is peak
    assert price.peak != price.off_peak


def test_a_call_over_the_end_of_the_peak_pays_the_dearer_tariff() -> None:
    usage = Usage(1_000, 0, 100)
    before, after = MONDAY + timedelta(hours=3, minutes=59, seconds=50), MONDAY + timedelta(hours=4, seconds=5)
    book = load_prices()
    assert book.charge(usage, model=FLASH, span=(before, after)) == book.charge(
        usage, model=FLASH, span=(before, before)
    )
    assert book.charge(usage, model=FLASH, span=(after, after)) == 21_000


def test_a_price_holds_until_the_next_one_of_its_model(tmp_path: Path) -> None:
    newer = ROW[ROW.index("[[price]]") :].replace("2026-01-01", "2026-06-01").replace('"1"', '"3"')
    file = tmp_path / "prices.toml"
    file.write_text(ROW + newer)
    book = load_prices(file)
    turn = datetime(2026, 6, 1, tzinfo=UTC)
    old, new = require_price(book, "m", turn - timedelta(seconds=1)), require_price(book, "m", turn)
    assert (old.off_peak.miss, new.off_peak.miss) == (100_000_000, 300_000_000)
    span = (turn - timedelta(seconds=1), turn + timedelta(seconds=19))
    dearest = Tariff(hit=0, miss=300_000_000, out=200_000_000).most(1 + FRAME_TOKENS, 1)
    assert book.reserve(("x",), 1, model="m", span=span) == dearest


def test_a_server_whose_cache_is_dearer_is_reserved_for_too() -> None:
    tariff = Tariff(hit=5_000_000, miss=1_000_000, out=0)
    assert tariff.most(1_000, 0) == tariff.cost(Usage(1_000, 1_000, 0)) == 5_000


def test_what_has_no_price_has_no_cost_either() -> None:
    book = load_prices()
    assert book.reserve(("x",), 1, model="nobody", span=(MONDAY, MONDAY)) is None
    assert book.charge(Usage(1, 0, 1), model=FLASH, span=(LONG_AGO, LONG_AGO)) is None


def test_an_unknown_model_is_refused_with_every_way_out() -> None:
    with pytest.raises(
        CrpbotError, match=r"no price is known for 'gpt'.*deepseek-flash.*CRPBOT__LLM__PRICES_FILE.*LLM_PRICE_FREE"
    ):
        require_price(load_prices(), "gpt", MONDAY)


def test_the_shipped_prices_are_the_providers() -> None:
    for model, (hit, miss, out) in PRICES.items():
        price = require_price(load_prices(), model, MONDAY)
        units = [Fraction(each) * 10**8 for each in (hit, miss, out)]
        assert [price.off_peak.hit, price.off_peak.miss, price.off_peak.out] == units
        assert [price.peak.hit, price.peak.miss, price.peak.out] == [2 * each for each in units]
    assert SHIPPED.is_file()


@pytest.mark.parametrize(
    ("found", "written", "words"),
    [
        ('"m"', '""', "model is missing"),
        ("2026-01-01T00:00:00Z", "2026-01-01", "valid_from"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "with its zone"),
        ('source = "the test"', "", "source is missing"),
        ('"0.1"', '"-0.1"', "off_peak.hit"),
        ('"0.1"', '"NaN"', "off_peak.hit"),
        ('"0.1"', "nan", "off_peak.hit"),
        ('"0.1"', "true", "off_peak.hit"),
        ('"0.1"', '"cheap"', "off_peak.hit"),
        ('"1"', '"10001"', "off_peak.miss"),
        ('hit = "0.1", ', "", "needs hit, miss and out"),
        ('hit = "0.1"', 'hit = "0.1", hitt = "1"', "needs hit, miss and out"),
        ('["Mon"]', '["Monday"]', "peak_hours.days"),
        ("01:00-04:00", "04:00-01:00", "must begin before it ends"),
        ("01:00-04:00", "night", "is no span"),
        ("[[price]]", "[[prize]]", "unknown part 'prize'"),
        ("[[price]]", "[price]", "holds no"),
        ("[peak_hours]", "[peak_hours", "is no TOML"),
        ('days = ["Mon"]', "", "needs days and utc"),
    ],
)
def test_a_slip_in_the_price_list_is_told_and_nothing_of_it_is_used(
    tmp_path: Path, found: str, written: str, words: str
) -> None:
    assert found in ROW
    file = tmp_path / "prices.toml"
    file.write_text(ROW.replace(found, written, 1))
    with pytest.raises(CrpbotError, match=words) as caught:
        load_prices(file)
    assert caught.value.reason == "BAD_LLM_PRICES"
    assert str(file) in str(caught.value)


def test_a_doubled_price_and_a_missing_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(ROW + ROW[ROW.index("[[price]]") :])
    with pytest.raises(CrpbotError, match="two prices from the same instant"):
        load_prices(file)
    with pytest.raises(CrpbotError, match="cannot be read"):
        load_prices(tmp_path / "nothing.toml")
