"""The doors to signals: `crpbot schedule` asks for them slot by slot, `signal` now, `signals` shows the stored ones."""

from __future__ import annotations

import sys
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cli.output import show

TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
OPPOSITES = {"--conservative": "--aggressive", "--aggressive": "--conservative"}

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Server to ask; the one of the settings where unset.", envvar="CRPBOT_URL"),
]
Account = Annotated[str | None, typer.Option("--account", help="Account; the default one where unset.")]
Conservative = Annotated[
    bool | None,
    typer.Option("--conservative/--aggressive", help="How readings are judged; the server's way where unset."),
]


def _dollars(text: str | Decimal) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is not an amount in US dollars")
    return amount


Dollars = Annotated[Decimal | None, typer.Option(parser=_dollars, metavar="USD", help="Most the server may spend.")]


class SpelledOut(TyperCommand):
    """Takes `--conservative False` and `--symbols BTC-USD ETH-USD` as well as the short forms."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: typer keeps its own copy of click
        return super().parse_args(ctx, spell_short(args))


def spell_short(arguments: list[str]) -> list[str]:
    """The same options in the forms that the parser knows.

    >>> spell_short(["--conservative", "False", "--symbols", "BTC-USD", "ETH-USD", "--iterations", "-1"])
    ['--aggressive', '--symbols', 'BTC-USD,ETH-USD', '--iterations', '-1']
    """
    short: list[str] = []
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if option in OPPOSITES and rest and rest[0].lower() in TRUTHS:
            option = option if TRUTHS[rest.pop(0).lower()] else OPPOSITES[option]
        short.append(option)
        if option == "--symbols":
            listed = []
            while rest and not rest[0].startswith("-"):
                listed.append(rest.pop(0))
            short += [",".join(listed)] if listed else []
    return short


def schedule(
    iterations: Annotated[int, typer.Option(help="Scans until the end; -1 is without end.")] = -1,
    sleep_seconds: Annotated[
        int | None, typer.Option(help="Seconds between scans, a multiple of a candle's; 300 or a candle where unset.")
    ] = None,
    interval: Annotated[str | None, typer.Option(help="Length of a candle; the server's where unset.")] = None,
    symbols: Annotated[list[str] | None, typer.Option(help="Such as BTC-USD,ETH-USD; all ten where unset.")] = None,
    max_signals: Annotated[
        int | None, typer.Option("--max-signals-per-hour", "--max-signals", help="Most the server may give.")
    ] = None,
    daily_budget: Dollars = None,
    monthly_budget: Dollars = None,
    conservative: Conservative = None,
    mode: Annotated[str | None, typer.Option(help="dryrun or live; that of the settings where unset.")] = None,
    confirm: Annotated[
        str | None, typer.Option(help="Say live a second time.", envvar="CRPBOT_CONFIRM", metavar="live")
    ] = None,
    account: Account = None,
    stand_by: Annotated[bool, typer.Option("--stand-by", help="Wait for the end of another scheduler here.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show every theory's vote of a HOLD too.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Ask for signals at once and then whenever a candle closes. Ends with status 3 where another one runs."""
    from cli.signals.schedule import Order, run
    from client.agreement import Expected
    from core.errors import invalid
    from core.market import SYMBOLS, parse_symbol

    if mode not in (None, "dryrun", "live"):
        raise invalid("--mode", f"{mode!r} is neither dryrun nor live")
    listed = [parse_symbol(each, field="--symbols") for text in symbols or () for each in text.split(",") if each]
    order = Order(
        symbols=tuple(dict.fromkeys(listed)) or SYMBOLS,
        sleep_seconds=sleep_seconds,
        interval=interval,
        iterations=iterations,
        judging=judging(conservative),
        account=account,
        mode=mode,
        confirmed=confirm,
        expected=Expected(max_signals, daily_budget, monthly_budget),
        url=url,
        stand_by=stand_by,
        full=full,
        as_json=as_json,
    )
    sys.exit(run(order))


def signal(
    symbols: Annotated[list[str], typer.Argument(help="Symbols such as BTC-USD.")],
    conservative: Conservative = None,
    account: Account = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Decide now and print it. It counts like any signal: stored, limited, and paid for."""
    from cli.signals.asking import decide
    from cli.signals.blocks import print_refused, print_signal
    from cli.signals.console import make_console

    def render(answer: dict[str, Any]) -> None:
        console = make_console()
        for each in answer["signals"]:
            print_signal(console, each, full=True)
        for each in answer["refused"]:
            print_refused(console, each)

    answer = decide(url, symbols, judging(conservative), account)
    show(answer, as_json, render)
    sys.exit(1 if answer["refused"] else 0)


def signals(
    symbol: Annotated[str | None, typer.Option("--symbol", "-s", help="Only this symbol.")] = None,
    direction: Annotated[str | None, typer.Option(help="Only BUY, SELL or HOLD.")] = None,
    tier: Annotated[str | None, typer.Option(help="Only high, medium or low.")] = None,
    variant: Annotated[str | None, typer.Option(help="Only this variant.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only v7, v6 or vote.")] = None,
    model: Annotated[str | None, typer.Option(help="Only where this version of a model had a part.")] = None,
    book: Annotated[str | None, typer.Option(help="primary (published) or shadow (compares).")] = None,
    account: Account = None,
    since: Annotated[str | None, typer.Option(help="From this instant on, such as 2026-11-21T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this instant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new ones as they come, until Ctrl-C.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Show each with every vote instead of side by side.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List stored signals, newest first, with what each strategy decided; or follow them."""
    import json

    from cli.signals.asking import compared, followed, listed, unstaffed
    from cli.signals.blocks import print_signal
    from cli.signals.console import make_console
    from cli.signals.sides import line_up, print_sides
    from core.errors import invalid

    chosen = {"direction": direction, "tier": tier, "variant": variant, "strategy": strategy, "book": book}
    filters = {"symbol": symbol, **chosen, "account": account}
    console = make_console()

    def render(found: list[dict[str, Any]]) -> None:
        for each in found:
            print_signal(console, each, full=full)

    def render_stored(found: list[dict[str, Any]]) -> None:
        if full or model is not None or any(chosen.values()):
            render(found)
        else:
            print_sides(console, line_up(found, compared(url, found, symbol)), unstaffed(url, found))

    if follow and (since or until or model):
        raise invalid("--follow", "shows what comes; leave --since, --until and --model to the list")
    if follow and strategy and not book:
        detail = "follows one book: add --book primary for what is published, --book shadow for what compares"
        raise invalid("--follow", f"{detail} (CRPBOT__DECISION__STRATEGY says which strategy is published)")
    if not follow:
        asked = {**filters, "model": model, "since": since, "until": until}
        show(listed(url, limit, asked), as_json, render_stored)
        return
    with suppress(KeyboardInterrupt):
        for each in followed(url, {name: value for name, value in filters.items() if value is not None}):
            if as_json:
                typer.echo(json.dumps(each, separators=(",", ":")))
            else:
                render([each])


def judging(conservative: bool | None) -> str | None:
    """As the API says it."""
    return None if conservative is None else "conservative" if conservative else "aggressive"
