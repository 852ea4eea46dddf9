"""`crpbot replay` and `crpbot explain`: whether stored decisions come out the same again, and why one was made."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.output import show

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a stored decision, such as `crpbot signals` shows.")]


def replay(
    signal_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Id of a stored decision.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every decision in the ledger.")] = False,
    as_json: Json = False,
) -> None:
    """Make a stored decision once more from what is kept beside it; status 1 where anything comes out otherwise."""
    from cli.progress import bar
    from cli.signals.decision_tables import print_replayed
    from cli.signals.replay import replay_stored
    from core.errors import invalid

    if every == (signal_id is not None):
        raise invalid("ID", "give the id of one decision, or --all")
    with bar("replaying", unit="decisions") as tell:
        found = replay_stored(signal_id, tell)
    show(found, as_json, print_replayed)
    sys.exit(1 if any(each["differences"] for each in found) else 0)


def explain(signal_id: Id, as_json: Json = False) -> None:
    """Say why a stored decision is what it is: what moved it, what stopped it, and what would have changed it."""
    from cli.signals.decision_tables import print_explanation
    from cli.signals.replay import explain_stored

    show(explain_stored(signal_id), as_json, print_explanation)
