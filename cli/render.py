"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]  # Any: decoded JSON

STATES: Final = {"ok": "green", "warn": "yellow", "bad": "red"}


def console(*, stderr: bool = False) -> Console:
    """Where tables go."""
    return Console(highlight=False, stderr=stderr)


def print_analyses(analyses: Iterable[Row], *, all_numbers: bool = False) -> None:
    """One table a symbol: vote, headline (or every number) and sentence of each theory."""
    for analysis in analyses:
        console().print(analysis_table(analysis, all_numbers=all_numbers))


def analysis_table(analysis: Row, *, all_numbers: bool = False) -> Table:
    """An analysis as a trader reads it: what is voted, on which number, and in words."""
    origin = (
        f"[yellow]{analysis['source']}: invented prices, not for trading[/]"
        if analysis["synthetic"]
        else analysis["source"]
    )
    as_of = str(analysis["as_of"]).replace("T", " ").replace("Z", " UTC")
    table = make_table(
        "Theory",
        "Vote",
        "Numbers" if all_numbers else "Headline",
        "Reading",
        title=f"{analysis['symbol']}  {float(analysis['price']):,.6g}  ·  {analysis['window']} candles of "
        f"{analysis['interval']} to {as_of}  ·  {origin}",
        caption=_votes_together(analysis),
    )
    for reading in analysis["readings"]:
        words = Text(reading["problem"], style="yellow") if reading.get("problem") else Text(reading["words"])
        table.add_row(reading["theory"], _vote(reading), _numbers(reading["values"], all_numbers=all_numbers), words)
    for doubt in analysis["degradations"]:
        doubted = f"no decision may rest on these candles ({doubt['reason']}): {doubt['detail']}"
        table.add_row("[red]candles[/]", "-", "", Text(doubted, style="red"))
    for gap in analysis["missing"]:
        table.add_row(gap["theory"], "-", "", Text(f"missing ({gap['reason']}): {gap['detail']}", style="red"))
    return table


def print_theories(theories: Iterable[Row]) -> None:
    """The catalogue: each theory with its numbers, its variants, and whether it must be fitted first."""
    table = make_table("Theory", "Number", "Range", "Meaning")
    for theory in theories:
        table.add_row(f"[bold]{theory['name']}[/]", "", "", f"[bold]{theory['summary']}[/]")
        if theory["variants"]:
            table.add_row("", "", "", Text(f"also: {', '.join(theory['variants'])}"))
        if theory["fitted"]:
            table.add_row("", "", "", Text("needs crpbot fit", style="yellow"))
        for field in theory["fields"]:
            table.add_row("", field["name"], format_range(field["low"], field["high"]), field["meaning"])
    console().print(table)


def print_settings(rows: Iterable[Row]) -> None:
    """Every setting, masked, with its origin."""
    table = make_table("Setting", "Value", "From", "Meaning")
    for row in rows:
        style = "dim" if row["origin"] == "default" else ""
        table.add_row(
            Text(row["name"], style),
            Text(str(row["value"]), style),
            Text(row["origin"], style),
            Text(row["meaning"], style),
        )
    console().print(table)


def print_findings(findings: Iterable[Row]) -> None:
    """What the doctor found."""
    table = make_table("Check", "State", "Found", "Remedy")
    for finding in findings:
        state = Text(finding["state"], style=STATES[finding["state"]])
        table.add_row(finding["check"], state, Text(finding["found"]), Text(finding["remedy"]))
    console().print(table)


def make_table(*columns: str, title: str | None = None, caption: str | None = None) -> Table:
    """A table in the look of the house."""
    table = Table(box=box.SIMPLE_HEAD, title=title, caption=caption, title_justify="left", caption_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _vote(reading: Row) -> Text:
    vote = float(reading["vote"])
    style = "green" if vote > 0 else "red" if vote < 0 else "dim"
    return Text(f"{vote:+.2f}" if vote else "0", style=style)


def _votes_together(analysis: Row) -> str:
    """How many point where. They are no sum: several theories look at the same thing."""
    votes = [float(reading["vote"]) for reading in analysis["readings"] if not reading.get("problem")]
    up, down = sum(vote > 0 for vote in votes), sum(vote < 0 for vote in votes)
    return f"{up} up, {down} down, {len(votes) - up - down} stay out  ·  coverage {analysis['coverage']:.0%}"


def _numbers(values: Mapping[str, float], *, all_numbers: bool) -> str:
    """The headline, which a theory declares first, or everything."""
    shown = list(values.items()) if all_numbers else list(values.items())[:1]
    return "\n".join(f"{name} {value:.4g}" for name, value in shown)


def format_range(low: float | None, high: float | None) -> str:
    """The bounds of a number; unbounded is infinity."""
    return f"{'-∞' if low is None else format(low, 'g')} .. {'∞' if high is None else format(high, 'g')}"
