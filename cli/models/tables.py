"""What `crpbot models`, `candidate`, `rollback` and `calibrate` print for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from cli.models.telling import NOT_JUDGED, order_states
from cli.render import console, make_table
from cli.training.tables import OUTCOMES, TAKEN_UP

Row = Mapping[str, Any]  # Any: decoded JSON

STATES: Final = {"promoted": "green", "candidate": "yellow", "previous": "", "": "dim"}
GATE: Final = {"insufficient": "unclear", NOT_JUDGED: "-"}
PERCENT: Final = 100.0


def print_models(row: Row) -> None:
    """Each model in a line, then the ensembles, then what is wrong."""
    out = console()
    if not row["models"]:
        out.print(f"no model in {row['folder']}; train one with `crpbot train lstm --coin BTC`", soft_wrap=True)
    else:
        table = make_table("Model", "Coin", "State", "Learned until", "Correct", "Gate")
        for column in table.columns:
            column.no_wrap = column.header != "Learned until"  # together they fit into 80 columns
        for each in order_states(row["models"]):
            table.add_row(*_cells(each))
        out.print(table)
    if row["ensembles"]:
        out.print(_ensembles(row["ensembles"]))
    for command in dict.fromkeys(each["next"] for each in row["ensembles"] if each["next"]):
        out.print(f"next: {command}", soft_wrap=True)
    for fault in row["faults"]:
        out.print(Text(f"fault: {fault}", style="red"), soft_wrap=True)


def print_model(row: Row) -> None:
    """All of one model."""
    out, facts = console(), row["manifest"]
    state = f"  {row['state']}" if row["state"] else ""
    out.print(Text(f"{row['version']}  {', '.join(row['symbols'])}  of {row['origin']}{state}", style="bold"))
    table = make_table("Fact", "Value")
    shape = ", ".join(f"{name} {value}" for name, value in facts["architecture"].items())
    table.add_row("network", f"{row['kind']}, {facts['parameters']:,} parameters; {shape}")
    reads = (
        f"{facts['window']} candles of {facts['interval']}, {facts['features']} inputs; looks {facts['horizon']} ahead"
    )
    table.add_row("reads", reads)
    for name, span in facts["spans"].items():
        table.add_row(f"span {name}", "-" if span is None else f"{_minute(span[0])} to {_minute(span[1])}")
    for name, value in facts["metrics"].items():
        table.add_row(name, f"{value:,.4g}")
    platt = facts["platt"]
    table.add_row(
        "own line", "-" if platt is None else f"slope {platt['slope']:.3f}, intercept {platt['intercept']:+.3f}"
    )
    table.add_row("made", f"{_minute(row['created_at'])}, seed {facts['seed']}, run {facts['run']}")
    table.add_row(
        "sha256", f"{facts['sha256'][:12]}, inputs {facts['fingerprint'][:12]}, candles {facts['data_hash'][:12]}"
    )
    out.print(table)
    _print_gate(row)
    for line in row["lines"]:
        if "before" in line:
            out.print(f"{line['symbol']}: {_tell(line)}")
    if row["state"] in {"promoted", "candidate"}:
        out.print(f"live score: GET /v1/models/{row['version']} of a running server", soft_wrap=True)
    if row["history"]:
        table = make_table("At", "What", "Model", "Before")
        for each in row["history"]:
            table.add_row(_minute(each["at"]), each["action"], each["version"], each["before"] or "nobody")
        out.print(table)


def print_calibrated(rows: Sequence[Row]) -> None:
    """Each coin's lines, with what they improve, and the sets that have none."""
    out = console()
    for row in rows:
        if row["lines"]:
            table = make_table("Models", "Line", "Brier score", "Calibration error", "n", title=row["symbol"])
            for line in row["lines"]:
                _add_line(table, line)
            out.print(table)
            out.print("each line is better than none where it was not fitted")
        for gap in row["gaps"]:
            words = f"{row['symbol']}: no line for {' + '.join(gap['kinds'])}: {gap['why']}"
            out.print(Text(words, style="yellow"), soft_wrap=True)
    if any(row["lines"] for row in rows):
        out.print(f"kept beside the models; {TAKEN_UP}")


def print_nominated(row: Row) -> None:
    """Who is on trial from now on."""
    words = f"{row['version']} is on trial as the {row['kind']} of {row['subject']}, without effect; {TAKEN_UP}"
    console().print(words + ("" if row["before"] in {None, row["version"]} else f"; {row['before']} no longer is"))


def print_withdrawn(row: Row) -> None:
    """Whose trial has ended."""
    words = f"{row['version']} is no longer on trial as the {row['kind']} of {row['subject']}; its files stay"
    console().print(f"{words}; {TAKEN_UP}")


def print_rolled_back(row: Row) -> None:
    """Who decides again."""
    before = row["before"] or "nobody"
    words = f"{row['version']} is the {row['kind']} of {row['subject']} again, in place of {before}"
    console().print(f"{words}; {TAKEN_UP}")


def _cells(row: Row) -> tuple[str | Text, ...]:
    """One model's line of the list."""
    correct = "-" if row["accuracy"] is None else f"{PERCENT * row['accuracy']:.1f}%"
    state = Text(row["state"] or "-", style=STATES[row["state"]])
    verdict = Text(str(GATE.get(row["verdict"], row["verdict"])), style=OUTCOMES.get(row["verdict"], "dim"))
    symbols = row["symbols"]
    coins = symbols[0] if len(symbols) == 1 else f"{len(symbols)} coins"
    return row["version"], coins, state, row["learned_until"][:10], correct, verdict


def _ensembles(rows: Sequence[Row]) -> Table:
    table = make_table("Ensemble", "Models", "Calibrated")
    for row in rows:
        found = {tuple(kinds) for kinds in row["lines"]}
        kinds = tuple(row["models"])
        state = Text("yes", style="green") if kinds in found else Text("no", style="yellow")
        several = sum(len(each) > 1 for each in found)
        if len(kinds) > 1:
            state.append(f", {several} of {2 ** len(kinds) - 1 - len(kinds)} sets")
        table.add_row(row["symbol"], ", ".join(row["models"].values()), state)
    return table


def _add_line(table: Table, line: Row) -> None:
    """What was said before there was a line, and by the lines of the other halves."""
    names = [" + ".join(line["kinds"]), ""]
    told = ["none", f"slope {line['slope']:.2f}, {line['intercept']:+.2f}"]
    for name, words, part in zip(names, told, ("before", "after"), strict=True):
        error = _bounded(line[part]["error"], percent=True)
        table.add_row(name, words, _bounded(line[part]["brier"]), error, f"{line[part]['brier']['n']:,}")


def _print_gate(row: Row) -> None:
    out = console()
    if row["rulings"]:
        table = make_table("Rule", "Outcome", "In words")
        several = len(row["symbols"]) > 1
        for each in row["rulings"]:
            name = f"{each['rule']} {each['symbol']}" if several else each["rule"]
            table.add_row(name, Text(each["outcome"], style=OUTCOMES[each["outcome"]]), Text(each["sentence"]))
        out.print(table)
    words = str(row["verdict"]) if row["sentence"] is None else f"{row['verdict']}: {row['sentence']}"
    out.print(Text(f"gate: {words}", style=OUTCOMES.get(row["verdict"], "dim")))
    earlier = row["promoted_with"]
    if earlier is not None:
        told = f"{_minute(earlier['at'])}: {earlier['verdict']}: {earlier['sentence']}"
        out.print(f"it was promoted with the judgement of {told}; the newer one is of {_minute(row['judged_at'])}")
    if row["report"] is not None:
        out.print(f"report: {row['report']}", soft_wrap=True)


def _tell(line: Row) -> str:
    """A line in words."""
    before, after = (_bounded(line[name]["error"], percent=True) for name in ("before", "after"))
    span = f"{_minute(line['first'])} to {_minute(line['last'])}"
    return f"calibrated with {' + '.join(line['kinds'])} on {span}: error {before}, then {after}"


def _bounded(measured: Row, *, percent: bool = False) -> str:
    """With its bounds."""
    numbers = [measured[name] for name in ("value", "low", "high")]
    if numbers[0] is None:
        return "-"
    told = [f"{PERCENT * each:.1f}%" if percent else f"{each:.4f}" for each in numbers if each is not None]
    return told[0] if len(told) < len(numbers) else f"{told[0]} ({told[1]} to {told[2]})"


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")
