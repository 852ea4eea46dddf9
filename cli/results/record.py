"""`crpbot record`: what was learned from closed trades, from the ledger itself, so that it works without a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from cli.render import console, make_table
from core.adapters.ledger.learned import StoredRecord
from core.adapters.ledger.ledger import Ledger
from core.paper.record import Key, Tally, write_json
from core.performance.measure import estimate_rate
from serving.configuration import load

Json = dict[str, Any]  # Any: decoded JSON


def read_record(*, synthetic: bool | None) -> Json:
    """The record in the form in which it is exported; without more, of the market of the settings."""
    settings = load().settings
    invented = settings.market.provider == "synthetic" if synthetic is None else synthetic
    learned = asyncio.run(_read(settings.database_url.get_secret_value(), synthetic=invented))
    document: Json = json.loads(write_json(learned))
    return document


def print_record(document: Json) -> None:
    """A table: wins, losses, and the win rate with its exact interval beside the one that just pays."""
    if not document["records"]:
        console().print("no closed trade yet")
        return
    table = make_table("Symbol", "Variant", "Tier", "Way", "Won", "Lost", "Even", "Rate", "95 % interval", "Pays from")
    for column in table.columns:
        column.no_wrap = True
    for row in document["records"]:
        tally = Tally(*(row[name] for name in ("wins", "losses", "breakevens", "won_percent", "lost_percent")))
        rate = estimate_rate(tally.wins, tally.wins + tally.losses)
        interval = "-" if rate.low is None or rate.high is None else f"{rate.low:.1%} to {rate.high:.1%}"
        table.add_row(
            *(row["symbol"], row["variant"] or "-", row["tier"] or "-", row["direction"]),
            *(f"{tally.wins:,}", f"{tally.losses:,}", f"{tally.breakevens:,}"),
            *("-" if rate.value is None else f"{rate.value:.1%}", interval),
            "-" if tally.break_even is None else f"{tally.break_even:.1%}",
        )
    console().print(table)


async def _read(url: str, *, synthetic: bool) -> dict[Key, Tally]:
    ledger = await Ledger.open(url)
    try:
        return await StoredRecord(ledger).learned(synthetic=synthetic)
    finally:
        await ledger.close()
