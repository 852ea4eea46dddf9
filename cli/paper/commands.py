"""`crpbot trades` and `crpbot trade`: what became of signals on paper, and the trader's hand on it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import show

trade = typer.Typer(help="One paper trade: open it now, close it now, or take it back.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Server to ask; the one of the settings where unset.", envvar="CRPBOT_URL"),
]
By = Annotated[str | None, typer.Option("--by", help="Who acts; the login name where unset.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the trade, as `crpbot trades` shows it.")]


def trades(
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="Only this symbol.")] = None,
    state: Annotated[str | None, typer.Option(help="Only pending, open or closed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest.")] = 20,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List paper trades, newest first."""
    from cli.paper.asking import print_trades, read_trades

    found = read_trades(url, limit, account=account, symbol=symbol, state=state)
    show(found, as_json, print_trades)


@trade.command("open")
def open_trade(
    signal: Annotated[str, typer.Argument(metavar="SIGNAL", help="Id of the signal.")],
    by: By = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Open the trade of a signal now, at the quote, if that is close enough to its entry."""
    from cli.paper.asking import act, print_trade

    show(act(url, "", {"signal_id": signal}, by=by), as_json, print_trade)


@trade.command()
def close(trade_id: Id, by: By = None, url: Url = None, as_json: Json = False) -> None:
    """Close an open trade now, at the quote. A halt does not forbid it."""
    from cli.paper.asking import act, print_trade

    show(act(url, "/close", {"id": trade_id}, by=by), as_json, print_trade)


@trade.command()
def cancel(trade_id: Id, by: By = None, url: Url = None, as_json: Json = False) -> None:
    """Take back a trade that still waits for its entry."""
    from cli.paper.asking import act, print_trade

    show(act(url, "/cancel", {"id": trade_id}, by=by), as_json, print_trade)
