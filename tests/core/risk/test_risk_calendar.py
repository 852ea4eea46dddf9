"""The firm's day: where it starts and ends in UTC, through both changes of the clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.risk.calendar import day_of, firm_day
from core.risk.hours import break_at
from core.risk.pack import Closing, find_pack

PRAGUE = "Europe/Prague"
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "starts", "hours"),
    [
        ("2026-11-21", "2026-11-20T23:00", 24),
        ("2026-07-01", "2026-06-30T22:00", 24),
        ("2026-03-29", "2026-03-28T23:00", 23),
        ("2026-10-25", "2026-10-24T22:00", 25),
        ("2027-03-28", "2027-03-27T23:00", 23),
    ],
)
def test_a_prague_day_starts_at_its_midnight_and_has_its_hours(day: str, starts: str, hours: int) -> None:
    found = day_of(PRAGUE, date.fromisoformat(day))
    assert found.starts_at == datetime.fromisoformat(starts).replace(tzinfo=UTC)
    assert found.ends_at - found.starts_at == hours * HOUR


@given(st.integers(0, 15 * 366 * 24 * 3600))
def test_every_instant_lies_in_exactly_its_day(seconds: int) -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    day = firm_day(PRAGUE, at)
    assert day.starts_at <= at < day.ends_at
    assert firm_day(PRAGUE, day.starts_at) == day == firm_day(PRAGUE, day.ends_at - timedelta(microseconds=1))
    assert firm_day(PRAGUE, day.ends_at).date == day.date + timedelta(days=1)


def test_the_last_tenth_of_a_second_belongs_to_the_day_that_ends() -> None:
    last = datetime(2026, 11, 18, 22, 59, 59, 900_000, tzinfo=UTC)
    assert firm_day(PRAGUE, last).date == date(2026, 11, 18)
    assert firm_day(PRAGUE, last + timedelta(milliseconds=100)).date == date(2026, 11, 19)


def test_the_hour_that_comes_twice_resets_nothing() -> None:
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))  # both are 02:30 in Prague
    assert firm_day(PRAGUE, first) == firm_day(PRAGUE, second)


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(CrpbotError, match="aware"):
        firm_day(PRAGUE, datetime(2026, 1, 1))  # noqa: DTZ001  the point of the test


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(CrpbotError, match="IANA"):
        firm_day("Europe/Prag", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("at", ["2026-11-18T11:00", "2026-11-20T21:59", "2026-11-21T12:00", "2026-11-22T22:59"])
def test_the_weekend_is_the_one_that_is_on_or_comes_next(at: str) -> None:
    found = break_at(find_pack("ftmo-2step-funded"), datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found is not None
    assert found.closes_at == datetime(2026, 11, 20, 22, tzinfo=UTC)  # Friday 23:00 in Prague
    assert found.opens_at == datetime(2026, 11, 22, 23, tzinfo=UTC)


def test_a_weekend_over_the_change_of_the_clocks_is_an_hour_longer() -> None:
    found = break_at(find_pack("ftmo-2step-funded"), datetime(2026, 10, 23, 12, tzinfo=UTC))
    assert found is not None
    assert found.opens_at - found.closes_at == timedelta(hours=50)


def test_after_the_opening_the_next_weekend_counts() -> None:
    found = break_at(find_pack("ftmo-2step-funded"), datetime(2026, 11, 22, 23, tzinfo=UTC))
    assert found is not None
    assert found.closes_at == datetime(2026, 11, 27, 22, tzinfo=UTC)
    assert found.closes_at.time() == time(22)


def test_a_pack_without_hours_has_no_weekend() -> None:
    assert break_at(find_pack("custom"), datetime(2026, 11, 21, tzinfo=UTC)) is None


def test_a_market_may_close_within_a_day_or_for_a_whole_week() -> None:
    pack = find_pack("ftmo-2step-funded")
    for opens_at, hours in ((time(23, 30), 0.5), (time(22), 7 * 24 - 1)):
        closing = Closing(closes_weekday=4, closes_at=time(23), opens_weekday=4, opens_at=opens_at)
        found = break_at(replace(pack, closing=closing), datetime(2026, 11, 20, 22, 1, tzinfo=UTC))
        assert found is not None
        assert found.opens_at - found.closes_at == timedelta(hours=hours)
