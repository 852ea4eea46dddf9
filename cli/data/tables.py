"""What the commands of `crpbot data` print for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.padding import Padding
from rich.text import Text

from cli.render import console, make_table

Row = dict[str, Any]  # Any: decoded JSON


def print_outcomes(rows: Sequence[Row]) -> None:
    """What was fetched, series by series."""
    facts = {
        "holes": "had no trade: the exchange has no such candles",
        "unusable": "were told in a way that can be no candle; the same command asks for them again",
        "revisions": "were told otherwise later; the first answer stays, the later one is recorded",
    }
    for row in rows:
        span = f", {_minute(row['first'])} to {_minute(row['last'])} UTC" if row["first"] else ""
        lines = [(row["file"], "")]
        lines += [(f"{row[name]:,} {words}", "dim") for name, words in facts.items() if row[name]]
        lines += [*((note, "yellow") for note in row["notes"]), (row["problem"], "red")]
        _print_lines(f"{row['symbol']} {row['interval']}  {row['candles']:,} candles{span}", lines)


def print_verdicts(rows: Sequence[Row]) -> None:
    """One table a file: what was found, and whether it may be trained on."""
    for row in rows:
        span = f", {_minute(row['first'])} to {_minute(row['last'])} UTC" if row["first"] else ""
        origin = f", from {row['source']}" if row["source"] else ""
        bad = bool(row["reasons"])
        lines = [(reason, "red") for reason in row["reasons"]]
        lines.append(("must not be trained on", "red") if bad else ("may be trained on", "green"))
        table = make_table("Defect", "Count", "Candles", "Policy", "Example", "Remedy")
        for each in row["findings"]:
            counts = (f"{each[name]:,}" for name in ("count", "candles"))
            table.add_row(each["kind"], *counts, *(Text(each[name]) for name in ("policy", "example", "remedy")))
        head = f"{Path(row['file']).name}  {row['candles']:,} usable candles of {row['rows']:,} rows{span}{origin}"
        _print_lines(head, lines)
        if row["findings"]:
            console().print(table)


def print_written(rows: Sequence[Row]) -> None:
    """The feature files."""
    for row in rows:
        stretches = f"{row['stretches']:,} {'stretch' if row['stretches'] == 1 else 'stretches'} without a hole"
        head = f"{row['symbol']} {row['interval']}  {row['rows']:,} rows of {row['candles']:,} candles in {stretches}"
        _print_lines(head, [(row["file"], ""), (row["problem"], "red")])


def _print_lines(head: str, lines: Sequence[tuple[str | None, str]]) -> None:
    """A line that stands out, and below it those that there are, each in its style."""
    console().print(Text(head, style="bold"))
    for words, style in lines:
        if words:
            console().print(Padding(Text(words, style=style), (0, 0, 0, 2), expand=False))


def _minute(text: str | None) -> str:
    return text[:16].replace("T", " ") if text else ""
