"""Asks a server about paper trades, and prints them as a trader reads them."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.text import Text

from cli.render import console, make_table
from client.sdk import ApiError, Client
from core.errors import Code, CrpbotError
from serving.configuration import load
from serving.probe import server_url

Json = dict[str, Any]  # Any: decoded JSON
Row = Mapping[str, Any]

PATH: Final = "/v1/paper-trades"
PAGE: Final = 500
COLOURS: Final = {"win": "green", "loss": "red", "open": "cyan", "pending": "yellow"}


def read_trades(url: str | None, limit: int, **filters: str | None) -> list[Json]:
    """The newest trades, so many of them."""
    found: list[Json] = []
    cursor: int | None = None
    with _client(url) as client:
        try:
            while len(found) < limit:
                page = client.get(PATH, limit=min(PAGE, limit - len(found)), cursor=cursor, **filters)
                found += page["trades"]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
        except ApiError as error:
            raise _refused(error) from None
    return found


def act(url: str | None, step: str, body: Json, *, by: str | None) -> Json:
    """Does something to one trade; the answer is how it stands then."""
    with _client(url) as client:
        try:
            return client.post(PATH + step, {**body, "by": by or getpass.getuser()})
        except ApiError as error:
            raise _refused(error) from None


def print_trades(trades: Sequence[Row]) -> None:
    """A table, newest first, and what the closed ones brought together."""
    if not trades:
        console().print("no paper trade")
        return
    table = make_table("Trade", "Born (UTC)", "What", "Entry", "State", "Result")
    table.columns[0].no_wrap = True  # it is copied into the next command
    for trade in trades:
        table.add_row(*_cells(trade))
    console().print(table)
    results = [Decimal(trade["pnl"]) for trade in trades if trade["opened_at"] and trade["pnl"] is not None]
    if results:
        wins = sum(trade["outcome"] == "win" for trade in trades)
        console().print(f"{len(results)} closed after they were opened, {wins} won: {sum(results):+,.2f} USD")


def print_trade(trade: Row) -> None:
    """One trade."""
    print_trades([trade])


def _cells(trade: Row) -> Sequence[str | Text]:
    state = trade["outcome"] or trade["state"]
    entry = f"({_price(trade['entry'])})" if trade["opened_price"] is None else _price(trade["opened_price"])
    result = ""
    if trade["pnl"] is not None and trade["opened_price"] is not None:
        pnl = Decimal(trade["pnl"])
        result = f"{pnl:+,.2f}"
    return (
        trade["id"],
        trade["created_at"][5:16].replace("T", " "),
        f"{trade['direction']} {trade['symbol']}",
        entry,
        Text(state, style=COLOURS.get(state, "")),
        result,
    )


def _price(text: str) -> str:
    """Six digits are enough to read; --json has all of them."""
    return f"{Decimal(text):,.6g}"


def _client(url: str | None) -> Client:
    return Client(url or server_url(load().settings))


def _refused(error: ApiError) -> CrpbotError:
    return CrpbotError(Code.UNAVAILABLE, str(error), reason="SERVER_REFUSED")
