"""What the commands of the training cluster print for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.render import console, make_table

Row = Mapping[str, Any]  # Any: decoded JSON

STATES = {"succeeded": "green", "running": "green", "waiting": "yellow", "stopped": "yellow", "failed": "red"}


def print_estimate(row: Row, *, stderr: bool = False) -> None:
    """What to expect, line by line, and below it the most there can be."""
    out = console(stderr=stderr)
    table = make_table("Part", "Amount", "Price", "Dollars", title=_title(row))
    for column in table.columns[1:]:
        column.justify = "right"
    for line in row["lines"]:
        price = f"{line['price']:.6f}".rstrip("0")
        table.add_row(line["what"], f"{line['amount']:,.2f} {line['unit']}", price, f"{line['dollars']:.2f}")
    table.add_row("expected", f"{row['hours']:,.2f} h", "", Text(f"{row['dollars']:.2f}", style="bold"))
    out.print(table)
    for words in row["assumptions"]:
        out.print(Text(words, style="dim"), soft_wrap=True)
    _print_limits(row, out)
    if not row["fits"]:
        words = (
            f"the work is expected to take {row['hours']:.1f} hours and would be ended after {row['most_hours']:.1f}; "
            "what it reached would be kept; remedy: --max-hours or --max-dollars"
        )
        out.print(Text(words, style="yellow"), soft_wrap=True)


def print_limits(row: Row) -> None:
    """The hard limits of a launch; on standard error, beside the question."""
    _print_limits(row, console(stderr=True))


def print_prepared(row: Row) -> None:
    """What an account has now."""
    made = ", ".join(row["made"]) or "nothing, all of it was there"
    console().print(f"{row['cluster']} may be launched in {row['region']}; made: {made}", soft_wrap=True)
    console().print(f"files: {row['bucket']}", soft_wrap=True)


def print_up(row: Row) -> None:
    """A cluster that waits for jobs."""
    out = console()
    idle = f"{row['idle_minutes']:g} minutes after its last job"
    out.print(f"{row['cluster']} is up in {row['region']}; it ends itself {idle}, at {row['ends_at']} at the latest")
    out.print("next: crpbot cluster submit lstm --coin all, and crpbot cluster down at the end", soft_wrap=True)


def print_status(row: Row) -> None:
    """Machines, disks, jobs, how long it lives and what it has cost."""
    out = console()
    title = f"{row['cluster']} in {', '.join(row['regions'])}"
    for words in row["unseen"]:
        out.print(Text(words, style="yellow"), soft_wrap=True)
    if not row["instances"] and not row["volumes"]:
        out.print(
            f"{title}: 0 machines and 0 disks; nothing costs anything but the files in {row['bucket']}", soft_wrap=True
        )
        return
    table = make_table("Machine", "Type", "What", "State", "Zone", "Since", title=title)
    for each in row["instances"]:
        kind = f"{each['instance_type']} {each['lifecycle']}"
        what = "head" if each["is_head"] else each["node_type"]
        table.add_row(each["id"], kind, what, each["state"], each["zone"], each["since"][:16].replace("T", " "))
    for each in row["volumes"]:
        table.add_row(each["id"], f"{each['size_gb']} GB", "disk", each["state"], each["zone"], "")
    out.print(table)
    if row["phase"] is not None:
        out.print(f"the head says: {row['phase']}, {row['heard_seconds_ago']:.0f} s ago")
    _print_jobs(row, out)
    for problem in row["problems"]:
        out.print(Text(f"machines: {problem}", style="yellow"), soft_wrap=True)
    if row["ends"] is not None:
        out.print(f"{row['ends']}, that is in {row['minutes_left']:.0f} minutes", soft_wrap=True)
    out.print(f"so far about {row['dollars_so_far']:.2f} dollars for the machines that are there, by estimate")


def print_submitted(row: Row) -> None:
    """A job that was given."""
    out = console()
    out.print(f"{row['job']}: {len(row['units'])} trainings given to {row['cluster']}", soft_wrap=True)
    out.print(f"follow it: crpbot cluster logs {row['job']} --follow", soft_wrap=True)
    out.print("bring its models home: the same words as crpbot train ... --aws", soft_wrap=True)


def print_stopping(row: Row) -> None:
    """What becomes of a job that is to stop."""
    if not row["asked"]:
        print_job(row)
        return
    out = console()
    out.print(f"{row['job']}: was asked to stop; what it reached is kept", soft_wrap=True)
    out.print(f"see it end: crpbot cluster logs {row['job']} --follow", soft_wrap=True)
    out.print("the cluster goes on: it ends itself when idle, and by crpbot cluster down", soft_wrap=True)


def print_down(row: Row) -> None:
    """What was ended, and that nothing is left."""
    ended = f"{len(row['instances'])} machines ended, {len(row['volumes'])} left disks deleted"
    places = ", ".join(row["regions"])
    console().print(f"{row['cluster']}: {ended}; 0 machines and 0 disks are left in {places}", soft_wrap=True)


def print_job(row: Row) -> None:
    """How a job stands, below what it printed."""
    state = row["state"] or "not given"
    words = ", its models are ready" if row["sealed"] else ""
    console().print(Text(f"{row['job']}: {state}{words}", style=STATES.get(state, "")), soft_wrap=True)


def _title(row: Row) -> str:
    units = f"{row['trainings']} training{'' if row['trainings'] == 1 else 's'}"
    return f"{units} on {row['cluster']} in {row['region']}: what to expect"


def _print_limits(row: Row, out: Console) -> None:
    own = row["limits"]
    out.print(
        f"hard limits: ends after {row['most_hours']:.2f} hours whatever happens, which at the highest rate of "
        f"{row['highest_rate']:.2f} dollars an hour is {row['most_dollars']:.2f} dollars (asked for: at most "
        f"{own['hours']:g} hours and {own['dollars']:g} dollars), and {own['idle_minutes']:g} minutes after the last "
        "work",
        soft_wrap=True,
    )


def _print_jobs(row: Row, out: Console) -> None:
    if row["jobs"]:
        table = make_table("Job", "State")
        for job, state in row["jobs"].items():
            table.add_row(job, Text(state, style=STATES.get(state, "")))
        out.print(table)
