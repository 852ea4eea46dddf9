"""Amounts become units exactly or are refused; what is rounded is rounded to the side that was asked for."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.money import MAX_UNITS, decimal_text, from_units, round_down, round_up, to_units

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False)


@given(st.integers(-MAX_UNITS, MAX_UNITS))
def test_every_number_of_units_comes_back_exactly(units: int) -> None:
    amount = from_units(units)
    assert to_units(amount) == round_down(amount) == round_up(amount) == units
    assert "E+" not in str(amount)


@given(AMOUNTS)
def test_rounding_keeps_its_side_and_is_less_than_one_unit_away(amount: Decimal) -> None:
    exact = Fraction(amount) * 10**8
    assert exact - 1 < round_down(amount) <= exact <= round_up(amount) < exact + 1


@given(AMOUNTS)
def test_what_is_not_whole_units_is_refused(amount: Decimal) -> None:
    exact = Fraction(amount) * 10**8
    if exact.denominator == 1:
        assert to_units(amount) == exact
    else:
        with pytest.raises(CrpbotError, match="more than 8 decimals"):
            to_units(amount)


@pytest.mark.parametrize(
    "amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+999999", "92233720368.54775808", "-92233720368.54775808"]
)
def test_what_no_ledger_holds_is_refused(amount: str) -> None:
    for convert in (to_units, round_down, round_up):
        with pytest.raises(CrpbotError, match="balance: "):
            convert(Decimal(amount), field="balance")


def test_an_amount_too_small_to_write_out_is_rounded_without_writing_it_out() -> None:
    tiny = Decimal("1E-999999")
    assert (round_down(tiny), round_up(tiny), round_down(-tiny), round_up(-tiny)) == (0, 1, -1, 0)
    with pytest.raises(CrpbotError):
        to_units(tiny)


@given(AMOUNTS)
def test_the_text_of_a_decimal_is_the_same_for_equal_values(amount: Decimal) -> None:
    text = decimal_text(amount)
    assert Decimal(text) == amount
    assert (
        decimal_text(Decimal(text))
        == text
        == decimal_text(Decimal(f"{amount:f}" + ("0" if "." in f"{amount:f}" else ".0")))
    )


@pytest.mark.parametrize(("value", "text"), [("-0.00", "0"), ("1E+3", "1000"), ("0.10", "0.1"), ("100", "100")])
def test_a_text_has_no_exponent_no_needless_zero_and_no_signed_zero(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1E+999", "1E-999"])
def test_what_is_no_price_has_no_text(value: str) -> None:
    with pytest.raises(CrpbotError, match="price: "):
        decimal_text(Decimal(value), field="price")
