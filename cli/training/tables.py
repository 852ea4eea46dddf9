"""What the commands of training print for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from cli.render import console, make_table

Row = Mapping[str, Any]  # Any: decoded JSON

VERDICTS: Final = {
    "pass": ("green", "passed"),
    "fail": ("red", "not promoted"),
    "insufficient": ("yellow", "not promoted"),
}
NUMBERS: Final = ("Accuracy", "AUC", "Trades", "Won", "A trade", "Sharpe")
TAKEN_UP: Final = "a running server takes it up within seconds"
OUTCOMES: Final = {"pass": "green", "fail": "red", "insufficient": "yellow", "not_applicable": "dim"}


def print_trained(rows: Sequence[Row]) -> None:
    """Each model with its table, the gate's rules, the verdict, and what to do next; at the end what was refused."""
    for row in rows:
        if "refused" not in row:
            print_judged(row)
    for row in rows:
        if "refused" in row:
            names = " ".join((row["kind"], *row["symbols"]))
            console().print(Text(f"not trained: {names}: {row['refused']}", style="red"), soft_wrap=True)


def print_judged(row: Row) -> None:
    """One model: the table beside simple rules, every rule of the gate in words, the verdict, the next command."""
    out = console()
    spent = f", {row['epochs']} epochs in {row['seconds']:.0f} s" if "seconds" in row else ""
    out.print(Text(f"{row['version']}  {', '.join(row['symbols'])}  of {row['origin']}{spent}", style="bold"))
    out.print(_lines(row["lines"]))
    table = make_table("Rule", "Outcome", "In words")
    several = len(row["symbols"]) > 1
    for each in row["rulings"]:
        name = f"{each['rule']} {each['symbol']}" if several else each["rule"]
        table.add_row(name, Text(each["outcome"], style=OUTCOMES[each["outcome"]]), Text(each["sentence"]))
    out.print(table)
    style, words = VERDICTS[row["verdict"]]
    out.print(Text(f"{words}: {row['sentence']}", style=style))
    out.print(f"report: {row['report']}", soft_wrap=True)
    out.print(f"next: {row['next']}", soft_wrap=True)


def print_promoted(row: Row) -> None:
    """What decides from now on."""
    out = console()
    out.print(f"{row['version']} is the {row['kind']} of {row['subject']} from now on; {TAKEN_UP}")
    if "next" in row:
        out.print(f"next: {row['next']}", soft_wrap=True)


def print_demoted(row: Row) -> None:
    """What decided until now."""
    words = f"{row['version']} is no longer the {row['kind']} of {row['subject']}; its files stay"
    console().print(f"{words}; {TAKEN_UP}")


def print_folds(row: Row) -> None:
    """The fold table."""
    names = ("Fold", "Learned from", "Judged on", *NUMBERS)
    table = make_table(*names, title=f"{row['symbol']} of {row['origin']}")
    for number, fold in enumerate(row["folds"], start=1):
        learned, judged = (" to ".join(fold[part]) for part in ("train", "test"))
        table.add_row(str(number), learned, judged, *_numbers(fold["line"]))
    table.add_row("all", "", "", *_numbers(row["total"]))
    console().print(table)


def _lines(lines: Iterable[Row]) -> Any:  # Any: rich's table
    table = make_table("Model", *NUMBERS)
    for line in lines:
        table.add_row(line["name"], *_numbers(line))
    return table


def _numbers(line: Row) -> tuple[str, ...]:
    return (
        _accuracy(*line["accuracy"][:3]),
        f"{line['auc']:.3f}",
        f"{line['won'][3]:,}",
        "-" if line["won"][0] is None else f"{line['won'][0]:.1%}",
        "-" if line["net"][0] is None else f"{10_000.0 * line['net'][0]:+.1f} bp",
        "-" if line["sharpe"] is None else f"{line['sharpe']:.1f}",
    )


def _accuracy(value: float | None, low: float | None, high: float | None) -> str:
    """With its interval; those of the other numbers stand on the page."""
    if value is None:
        return "-"
    return f"{value:.1%}" if low is None or high is None else f"{value:.1%} ({low:.1%} to {high:.1%})"
