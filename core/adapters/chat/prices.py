"""The price list of language models: a TOML file, checked wholly before a dollar is spent by it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import Any, Final

from core.errors import Code, CrpbotError
from core.llm.price import PeakHours, Price, PriceBook, Tariff
from core.money import round_up

SHIPPED: Final = Path(__file__).parents[2] / "llm" / "prices.toml"
WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DEAREST_USD: Final = 10_000  # per million tokens; more is a slip of the decimal point
FIELDS: Final = {"model", "valid_from", "off_peak", "peak", "source"}

Table = Mapping[str, Any]  # Any: TOML of the user; each reader checks what it takes out


class _WrongError(Exception):
    """What is wrong with the file, and where."""


def load_prices(path: Path | None = None) -> PriceBook:
    """The prices of a file (None: the shipped one)."""
    source = path or SHIPPED
    try:
        return parse_prices(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad(source, f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(source, f"is no TOML: {error}") from None
    except _WrongError as error:
        raise _bad(source, str(error)) from None


def parse_prices(text: str) -> PriceBook:
    """The prices of a TOML text."""
    content = tomllib.loads(text, parse_float=Decimal)
    if content.keys() - {"price", "peak_hours"}:
        raise _WrongError(
            f"unknown part {min(content.keys() - {'price', 'peak_hours'})!r}; known are price, peak_hours"
        )
    hours = _peak_hours(content.get("peak_hours", {}))
    rows = content.get("price")
    if not isinstance(rows, list) or not rows:
        raise _WrongError("holds no [[price]]")
    prices = tuple(_price(row, f"price {number}", hours) for number, row in enumerate(rows, 1))
    if len({(each.model, each.valid_from) for each in prices}) < len(prices):
        raise _WrongError("one model has two prices from the same instant")
    return PriceBook(prices)


def require_price(book: PriceBook, model: str, at: datetime) -> Price:
    """The price of the model, or what to do when there is none: an unpriced call could not be held to a budget."""
    found = book.at(model, at)
    if found is not None:
        return found
    raise CrpbotError(
        Code.FAILED_PRECONDITION,
        f"LLM_MODEL: no price is known for {model!r} on {at:%Y-%m-%d}; known are {', '.join(book.models())}. Name one "
        "of them, add its price in a file of your own (CRPBOT__LLM__PRICES_FILE), or set LLM_PRICE_FREE=true where the "
        "server costs nothing",
        reason="UNKNOWN_LLM_PRICE",
    )


def _price(row: object, where: str, hours: tuple[PeakHours, ...]) -> Price:
    if not isinstance(row, dict) or row.keys() - FIELDS:
        raise _WrongError(f"{where}: allowed are {', '.join(sorted(FIELDS))}")
    model, valid_from, source = row.get("model"), row.get("valid_from"), row.get("source")
    if not isinstance(model, str) or not model:
        raise _WrongError(f"{where}: model is missing")
    if not isinstance(valid_from, datetime) or valid_from.tzinfo is None:
        raise _WrongError(f"{where}: valid_from is an instant with its zone, for example 2026-09-10T00:00:00Z")
    if not isinstance(source, str) or not source:
        raise _WrongError(f"{where}: source is missing; say where the price was read, and when")
    off_peak = _tariff(row.get("off_peak"), f"{where}: off_peak")
    peak = _tariff(row["peak"], f"{where}: peak") if "peak" in row else off_peak
    if "peak" in row and not hours:
        raise _WrongError(f"{where}: has a peak price, and the file no [peak_hours]")
    return Price(model, valid_from.astimezone(UTC), off_peak, peak, hours if "peak" in row else (), source)


def _tariff(row: object, where: str) -> Tariff:
    if not isinstance(row, dict) or row.keys() != {"hit", "miss", "out"}:
        raise _WrongError(
            f'{where}: needs hit, miss and out, for example {{ hit = "0.003", miss = "0.15", out = "0.60" }}'
        )
    return Tariff(**{name: _units(value, f"{where}.{name}") for name, value in row.items()})


def _units(value: object, where: str) -> int:
    try:
        usd = Decimal(value) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
    except DecimalException:
        usd = None
    if usd is None or not usd.is_finite() or not 0 <= usd <= DEAREST_USD:
        raise _WrongError(f"{where}: is no price from 0 to {DEAREST_USD} US dollars per million tokens")
    return round_up(usd)


def _peak_hours(row: object) -> tuple[PeakHours, ...]:
    if row == {}:
        return ()
    if not isinstance(row, dict) or row.keys() != {"days", "utc"}:
        raise _WrongError("peak_hours: needs days and utc")
    days, spans = row["days"], row["utc"]
    if not isinstance(days, list) or not days or any(day not in WEEKDAYS for day in days):
        raise _WrongError(f"peak_hours.days: a list of {', '.join(WEEKDAYS)}")
    if not isinstance(spans, list) or not spans:
        raise _WrongError('peak_hours.utc: a list of spans, for example "01:00-04:00"')
    return tuple(_span(span, frozenset(WEEKDAYS.index(day) for day in days)) for span in spans)


def _span(span: object, days: frozenset[int]) -> PeakHours:
    try:
        begin, end = (time.fromisoformat(part) for part in str(span).split("-"))
    except ValueError:
        raise _WrongError(f"peak_hours.utc: {str(span)[:32]!r} is no span such as 01:00-04:00") from None
    if begin >= end or begin.tzinfo or end.tzinfo:
        raise _WrongError(f"peak_hours.utc: {str(span)[:32]!r} must begin before it ends; cut it at midnight (UTC)")
    return PeakHours(days, begin, end)


def _bad(path: Path, detail: str) -> CrpbotError:
    remedy = "see core/llm/prices.toml for the form"
    return CrpbotError(Code.INVALID_ARGUMENT, f"{path}: {detail}; {remedy}", reason="BAD_LLM_PRICES")
