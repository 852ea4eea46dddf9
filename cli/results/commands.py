"""`crpbot performance`, `contribution`, `review` and `record`: what closed trades prove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.output import show

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Server to ask; the one of the settings where unset.", envvar="CRPBOT_URL"),
]
Account = Annotated[str | None, typer.Option(help="Whose trades; the account of the settings where unset.")]
Symbol = Annotated[str | None, typer.Option("--symbol", "-s", help="Only this symbol.")]
Variant = Annotated[str | None, typer.Option(help="Only v7_full_math or v7_deepseek_only.")]
Tier = Annotated[str | None, typer.Option(help="Only high, medium or low.")]
Strategy = Annotated[str | None, typer.Option(help="Only v7, v6 or vote.")]
Way = Annotated[str | None, typer.Option("--direction", help="Only BUY or SELL.")]
Since = Annotated[str | None, typer.Option(help="Only what closed from this instant on, such as 2026-11-01T00:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Only what closed before this instant.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures too.")]


def performance(
    account: Account = None,
    symbol: Symbol = None,
    variant: Variant = None,
    tier: Tier = None,
    strategy: Strategy = None,
    direction: Way = None,
    since: Since = None,
    until: Until = None,
    by: Annotated[
        str | None, typer.Option(help="Tell apart: symbol, variant, tier, strategy, direction or period.")
    ] = None,
    html: Html = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """What the trades amount to: every statistic with n, its interval, and what it does not prove yet."""
    from cli.results.asking import ask, print_performance

    filters = _filters(account, symbol, variant, tier, strategy=strategy, direction=direction, since=since, until=until)
    report = ask(url, "", {**filters, "group_by": by})
    if html is not None:
        from cli.results.page import performance_parts, write_page

        curve, calibration = ask(url, "/equity", filters), ask(url, "/calibration", filters)
        title = f"Account {report['account']}: {report['performance']['trades']:,} closed trades"
        write_page(html, title, performance_parts(report, curve, calibration))
    show(report, as_json, print_performance)


def contribution(
    account: Account = None,
    symbol: Symbol = None,
    variant: Variant = None,
    tier: Tier = None,
    strategy: Strategy = None,
    direction: Way = None,
    since: Since = None,
    until: Until = None,
    store: Annotated[bool, typer.Option("--store", help="Store an evaluation of the whole account too.")] = False,
    html: Html = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """What each theory is worth: every decision made again without it."""
    from cli.results.asking import ask, evaluate, print_contribution

    filters = _filters(account, symbol, variant, tier, strategy=strategy, direction=direction, since=since, until=until)
    report = ask(url, "/contribution", filters)
    if store:
        evaluate(url, account)
    if html is not None:
        from cli.results.page import contribution_parts, write_page

        write_page(html, f"Account {report['account']}: what each theory is worth", contribution_parts(report))
    show(report, as_json, print_contribution)


def review(
    account: Account = None,
    symbol: Symbol = None,
    variant: Variant = None,
    tier: Tier = None,
    strategy: Strategy = None,
    direction: Way = None,
    since: Since = None,
    until: Until = None,
    html: Html = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Improve, one more week, or keep, and whether the trades decide that."""
    from cli.results.asking import ask, print_review

    filters = _filters(account, symbol, variant, tier, strategy=strategy, direction=direction, since=since, until=until)
    found = ask(url, "/review", filters)
    if html is not None:
        from cli.results.page import picture_parts, review_parts, write_page

        report = ask(url, "", filters)
        curve, calibration = ask(url, "/equity", filters), ask(url, "/calibration", filters)
        parts = [*review_parts(found), *picture_parts(report, curve, calibration)]
        write_page(html, f"Account {report['account']}: review", parts)
    show(found, as_json, print_review)


def record(
    synthetic: Annotated[
        bool | None,
        typer.Option("--synthetic/--real", help="Of invented or of real prices; those of the settings where unset."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What was learned from closed trades, as thresholds and theories read it; --json is its export."""
    from cli.results.record import print_record, read_record

    show(read_record(synthetic=synthetic), as_json, print_record)


def _filters(
    account: str | None, symbol: str | None, variant: str | None, tier: str | None, **others: str | None
) -> dict[str, str | None]:
    return {"account": account, "symbol": symbol, "variant": variant, "tier": tier, **others}
