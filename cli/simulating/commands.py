"""`crpbot simulate`, as the command line takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.output import show

Start = Annotated[
    datetime, typer.Option(formats=["%Y-%m-%d"], help="First day (UTC). The same day and seed give the same market.")
]


def simulate(
    symbol: Annotated[str, typer.Option(help="Symbol, such as BTC-USD.")] = "BTC-USD",
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days.")] = 60,
    interval: Annotated[str | None, typer.Option(help="Length of a candle; the one of the settings if unset.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the synthetic market.")] = 7,
    mode: Annotated[
        str, typer.Option(help="conservative or aggressive: how sure a signal has to be.")
    ] = "conservative",
    start: Start = datetime(2026, 1, 5),  # noqa: DTZ001 - typer reads dates without a zone
    out: Annotated[Path, typer.Option(help="Folder for report, trades and ledger.")] = Path("data/simulation"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Walk months of the synthetic market through signals, paper trades and reviews, and write a report."""
    from cli.progress import bar
    from cli.simulating.report import print_simulated, write_report
    from cli.simulating.simulate import Order
    from cli.simulating.simulate import simulate as run

    order = Order(symbol, days, interval, seed=seed, mode=mode, start=start.replace(tzinfo=UTC), out=out)
    with bar("simulating", unit="slots") as tell:
        simulated = run(order, tell)
    show(write_report(simulated, out), as_json, print_simulated)
