"""Reads a pack of rules from its file. A rule that is missing, unknown or contradictory is refused, never guessed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

from core.errors import CrpbotError, invalid
from core.risk.calendar import zone_of
from core.risk.pack_table import INVALID_PACK, Table, refused
from core.risk.terms import Closing, Contract, GapTrading, Label, Limbo, RiskPack, Source, TotalLossMode

SYMBOL: Final = re.compile(r"[A-Z0-9]{2,12}-USD")
SOURCE: Final = re.compile(r"(?P<label>[a-z]+) (?P<read_on>\d{4}-\d\d-\d\d): (?P<where>\S.*)")
NEEDS_NO_SOURCE: Final = {"id", "name", "firm", "product", "sources"}  # names are no rules

Choice = TypeVar("Choice", bound=Enum)


def read_pack(text: str, *, name: str) -> RiskPack:
    """The pack that a file's text describes; `name` is the file's, without its ending, and must be the pack's id."""
    try:
        found = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise invalid(name, f"is no TOML: {error}", reason=INVALID_PACK) from error
    table = Table(name, found, _names(RiskPack))
    pack = _pack_of(table)
    _need_consistent(pack, table)
    return pack


def _pack_of(table: Table) -> RiskPack:
    return RiskPack(
        id=table.text("id"),
        name=table.text("name"),
        firm=table.text("firm"),
        product=table.text("product"),
        time_zone=_zone(table),
        daily_loss=table.fraction("daily_loss"),
        daily_guard=table.fraction("daily_guard"),
        total_loss=table.fraction("total_loss"),
        total_guard=table.fraction("total_guard"),
        total_loss_mode=_choice(table, "total_loss_mode", TotalLossMode),
        warn_share=table.fraction("warn_share"),
        profit_target=table.optional("profit_target", table.fraction),
        minimum_trading_days=table.whole("minimum_trading_days", least=0),
        best_day_share=table.optional("best_day_share", table.fraction),
        commission_per_side=_commission(table),
        leverage=table.positive("leverage"),
        contracts=_contracts(table),
        max_open_orders=table.optional("max_open_orders", table.whole),
        news_minutes=table.optional("news_minutes", table.whole),
        weekend_holding=table.flag("weekend_holding"),
        closing=table.optional("closing", lambda name: _closing(table, name)),
        gap_trading=_choice(table, "gap_trading", GapTrading),
        gap_minutes=table.whole("gap_minutes", least=0),
        inactivity_days=table.optional("inactivity_days", table.whole),
        first_trade_days=table.optional("first_trade_days", table.whole),
        limbo=table.optional("limbo", lambda name: _limbo(table, name)),
        sources=_sources(table),
    )


def _need_consistent(pack: RiskPack, table: Table) -> None:
    """Rules that are each right and cannot be right together."""
    limbo = pack.limbo
    for name, wrong, rule in (
        ("id", pack.id != table.place, f"the file's name, {table.place}, is needed"),
        ("daily_guard", pack.daily_guard >= pack.daily_loss, f"less than daily_loss, {pack.daily_loss}, is needed"),
        ("total_guard", pack.total_guard >= pack.total_loss, f"less than total_loss, {pack.total_loss}, is needed"),
        ("daily_loss", pack.daily_loss > pack.total_loss, f"at most total_loss, {pack.total_loss}, is needed"),
        ("closing", pack.closing is None and not pack.weekend_holding, "weekend_holding = false needs the hours"),
        ("closing", pack.closing is None and pack.gap_trading is not GapTrading.ALLOW, "gap_trading needs the hours"),
        ("gap_minutes", pack.gap_minutes == 0 and pack.gap_trading is not GapTrading.ALLOW, "gap_trading needs some"),
        ("limbo", limbo is not None and limbo.from_fraction >= pack.total_loss, "less than total_loss is needed"),
    ):
        if wrong:
            raise table.refused(name, rule)


def _zone(table: Table) -> str:
    name = table.text("time_zone")
    try:
        return zone_of(name).key
    except CrpbotError as error:
        raise table.refused("time_zone", "a zone of the IANA list is needed, such as Europe/Prague") from error


def _commission(table: Table) -> Decimal:
    value = table.number("commission_per_side")
    if not 0 <= value < 1:
        raise table.refused("commission_per_side", "a fraction from 0 to below 1 is needed")
    return value


def _choice(table: Table, name: str, choices: type[Choice]) -> Choice:
    for choice in choices:
        if choice.value == table.found[name]:
            return choice
    raise table.refused(name, f"one of {', '.join(str(choice.value) for choice in choices)} is needed")


def _contracts(table: Table) -> Mapping[str, Contract]:
    place = f"{table.place}.contracts"
    rows = table.found["contracts"]
    if not isinstance(rows, dict):
        raise refused(place, rows, "a table by symbol is needed")
    contracts = {symbol: _contract(f"{place}.{symbol}", symbol, row) for symbol, row in rows.items()}
    firm_symbols = [contract.firm_symbol for contract in contracts.values()]
    for firm_symbol in firm_symbols:
        if firm_symbols.count(firm_symbol) > 1:
            raise refused(place, firm_symbol, "each firm_symbol may stand once")
    return MappingProxyType(contracts)


def _contract(place: str, symbol: str, row: object) -> Contract:
    if not SYMBOL.fullmatch(symbol):
        raise refused(place, symbol, "a symbol such as BTC-USD is needed")
    table = Table(place, row, _names(Contract) - {"symbol"})
    contract = Contract(
        symbol=symbol,
        firm_symbol=table.text("firm_symbol"),
        units_per_lot=table.optional("units_per_lot", table.positive),
        min_lots=table.positive("min_lots"),
        lot_step=table.positive("lot_step"),
        max_lots=table.positive("max_lots"),
    )
    if contract.min_lots > contract.max_lots:
        raise table.refused("min_lots", f"at most max_lots, {contract.max_lots}, is needed")
    for name in ("min_lots", "max_lots"):
        if table.number(name) % contract.lot_step:
            raise table.refused(name, f"a multiple of lot_step, {contract.lot_step}, is needed")
    return contract


def _closing(table: Table, name: str) -> Closing:
    hours = Table(f"{table.place}.{name}", table.found[name], _names(Closing))
    for weekday in ("closes_weekday", "opens_weekday"):
        if hours.whole(weekday, least=0) > 6:
            raise hours.refused(weekday, "0 (Monday) to 6 (Sunday) is needed")
    return Closing(
        closes_weekday=hours.whole("closes_weekday", least=0),
        closes_at=hours.clock("closes_at"),
        opens_weekday=hours.whole("opens_weekday", least=0),
        opens_at=hours.clock("opens_at"),
    )


def _limbo(table: Table, name: str) -> Limbo:
    limbo = Table(f"{table.place}.{name}", table.found[name], _names(Limbo))
    return Limbo(from_fraction=limbo.fraction("from_fraction"), days=limbo.whole("days"))


def _sources(table: Table) -> tuple[Source, ...]:
    rules = Table(f"{table.place}.sources", table.found["sources"], _names(RiskPack) - NEEDS_NO_SOURCE)
    return tuple(_source(rules, rule) for rule in _ordered(RiskPack) if rule not in NEEDS_NO_SOURCE)


def _source(rules: Table, rule: str) -> Source:
    match = SOURCE.fullmatch(rules.text(rule))
    labels = [label.value for label in Label]
    if match is None or match["label"] not in labels:
        raise rules.refused(rule, f'"LABEL YYYY-MM-DD: where" is needed, LABEL one of {", ".join(labels)}')
    try:
        read_on = date.fromisoformat(match["read_on"])
    except ValueError as error:
        raise rules.refused(rule, "a day of the calendar is needed") from error
    return Source(rule, Label(match["label"]), read_on, match["where"])


def _ordered(shape: type[RiskPack | Contract | Closing | Limbo]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(shape))


def _names(shape: type[RiskPack | Contract | Closing | Limbo]) -> set[str]:
    return set(_ordered(shape))
