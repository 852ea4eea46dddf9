"""A replay and an explanation as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from cli.render import console, make_table
from cli.signals.blocks import ARROWS, STYLES, vote_bar

Row = dict[str, Any]  # Any: decoded JSON

MOST_EQUAL: Final = 100  # decisions that come out the same are listed one by one up to so many
ANSWERS: Final = {True: ("yes", "green"), False: ("NO", "bold red"), None: ("-", "dim")}


def print_replayed(found: Sequence[Row]) -> None:
    """A line a decision (of very many only of those that differ), all differences below, the sum in the last line."""
    table = make_table("Decision", "Symbol", "Decided so", "Prompt", "Readings", "First difference, or remark")
    listed = [each for each in found if each["differences"] or len(found) <= MOST_EQUAL]
    for each in listed:
        words = Text(each["differences"][0], style="red") if each["differences"] else _remark(each)
        answers = (Text(*ANSWERS[each[part]]) for part in ("decision", "prompt", "readings"))
        table.add_row(each["id"], each["symbol"], *answers, words)
    if listed:
        console().print(table)
    for each in listed:
        for words in each["differences"][1:]:
            console().print(Text(f"{each['id']}: {words}", style="red"))
    differences = sum(len(each["differences"]) for each in found)
    silent = sum(each["decision"] is None for each in found)
    if silent:
        console().print(Text(f"{silent:,} could not be replayed: what they rested on has been forgotten", style="dim"))
    console().print(Text(f"{len(found):,} decisions, {differences:,} differences"))


def print_explanation(explanation: Row) -> None:
    """The sentences, then each vote that moved the decision as a bar with its pull on the odds."""
    direction = explanation["direction"]
    style = STYLES[direction]
    head = Text(f"{ARROWS[direction]} {direction} ", style=f"bold {style}")
    head.append(explanation["symbol"], style="bold").append(f"  {explanation['timestamp']}", style="dim")
    console().print(head)
    for sentence in explanation["sentences"]:
        console().print(Text(f"  {sentence}"))
    if explanation["moved"]:
        console().print(_votes(explanation["moved"]))


def _votes(moved: Sequence[Row]) -> Table:
    table = make_table("Vote", "Theory", "", "Log-odds")
    for vote in moved:
        table.add_row(vote_bar(vote["vote"]), vote["theory"], f"{vote['vote']:+.2f}", f"{vote['pull']:+.3f}")
    return table


def _remark(replayed: Row) -> Text:
    remarks = replayed["remarks"]
    more = f" (and {len(remarks) - 1} more, see --json)" if len(remarks) > 1 else ""
    return Text(remarks[0] + more if remarks else "", style="dim")
