"""`crpbot`: every door of the product. Imports are lazy, so that `crpbot --help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.cluster.commands import cluster
from cli.data.commands import data
from cli.models.commands import calibrate, candidate, models, rollback
from cli.output import show
from cli.paper.commands import trade, trades
from cli.results.commands import contribution, performance, record, review
from cli.risk.commands import account, kill, risk
from cli.signals.commands import SpelledOut, schedule, signal, signals
from cli.signals.decision_commands import explain, replay
from cli.simulating.commands import simulate
from cli.training.commands import train
from cli.training.judge_commands import demote, evaluate, promote, walk_forward
from core.errors import CrpbotError

app = typer.Typer(
    name="crpbot",
    help="Trading-signal inference server for crypto traders under a prop firm's loss limits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
db = typer.Typer(help="The ledger's database.", no_args_is_help=True)
app.add_typer(db, name="db")
audit = typer.Typer(help="The audit log.", no_args_is_help=True)
app.add_typer(audit, name="audit")
app.add_typer(data, name="data")
app.add_typer(kill, name="kill")
app.add_typer(account, name="account")
app.add_typer(trade, name="trade")
app.add_typer(train, name="train")
app.add_typer(cluster, name="cluster")
app.add_typer(models, name="models")
app.command()(risk)
app.command()(trades)
app.command()(replay)
app.command()(explain)
app.command(cls=SpelledOut)(schedule)
app.command(cls=SpelledOut)(signal)
app.command()(signals)
app.command()(simulate)
app.command()(performance)
app.command()(contribution)
app.command()(review)
app.command()(record)
app.command()(evaluate)
app.command()(promote)
app.command()(demote)
app.command()(rollback)
app.command()(candidate)
app.command()(calibrate)
app.command(name="walk-forward")(walk_forward)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Server to ask; the one of the settings where unset.", envvar="CRPBOT_URL"),
]


@app.command()
def serve(
    provider: Annotated[str | None, typer.Option(help="synthetic, replay or coinbase (DATA_PROVIDER).")] = None,
    first_analysis: Annotated[bool, typer.Option(help="Show a first analysis when ready.")] = True,
    as_json: Json = False,
) -> None:
    """Start the server: Ray, the theories, REST and gRPC. Ctrl-C ends everything it started."""
    from cli.serve import run

    overrides = {} if provider is None else {"DATA_PROVIDER": provider}
    sys.exit(run(overrides, first_analysis=first_analysis, as_json=as_json))


@app.command()
def analyze(
    symbols: Annotated[list[str], typer.Argument(help="Symbols such as BTC-USD.")],
    theory: Annotated[list[str] | None, typer.Option("--theory", "-t", help="Only this theory (repeatable).")] = None,
    window: Annotated[int | None, typer.Option(help="Candles to read, 200 to 2000.")] = None,
    interval: Annotated[str | None, typer.Option(help="Length of a candle, such as 5m.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Compute here, without a server.")] = False,
    numbers: Annotated[bool, typer.Option("--numbers", help="Show every number, not only the headlines.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Read a market through the theories and print what they say."""
    from cli.analyze import analyze_here, analyze_there
    from cli.render import print_analyses

    ask = analyze_here if local else analyze_there
    answer = ask(url, symbols, tuple(theory or ()), window, interval)
    show(answer["analyses"], as_json, lambda found: print_analyses(found, all_numbers=numbers))
    for refused in answer["refused"]:
        typer.secho(f"error: {refused['symbol']}: {refused['detail']}", fg="red", err=True)
    sys.exit(1 if answer["refused"] else 0)


@app.command()
def budget(as_json: Json = False) -> None:
    """Predict what the language model will cost in a day and a month of the scheduler, from measured prompts."""
    from cli.budget import print_budget, read_budget
    from serving.configuration import load

    show(read_budget(load().settings), as_json, print_budget)


@app.command()
def theories(as_json: Json = False) -> None:
    """List the theories, what their numbers mean and between which bounds they lie."""
    from cli.analyze import list_theories
    from cli.render import print_theories

    show(list_theories(), as_json, print_theories)


@app.command()
def fit(
    theory: Annotated[list[str] | None, typer.Option("--theory", "-t", help="Only this theory (repeatable).")] = None,
    symbol: Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Only this symbol (repeatable).")] = None,
    interval: Annotated[str | None, typer.Option(help="Length of a candle; the one of the settings if unset.")] = None,
    candles: Annotated[int | None, typer.Option(min=1_000, max=500_000, help="How long a history to read.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only what is not fitted yet.")] = False,
    as_json: Json = False,
) -> None:
    """Fit the theories that learn from long history. A running server takes up the result by itself."""
    from dataclasses import asdict

    from cli.fitting.fit import Order, print_lines
    from cli.fitting.fit import fit as run
    from cli.progress import bar
    from core.fitting import HISTORY_CANDLES

    order = Order(tuple(theory or ()), tuple(symbol or ()), interval, candles or HISTORY_CANDLES, missing)
    with bar("fitting") as tell:
        lines = run(order, tell)
    show([asdict(line) for line in lines], as_json, print_lines)
    sys.exit(1 if any(line.problem for line in lines) else 0)


@app.command(name="show-config")
def show_config(as_json: Json = False) -> None:
    """Print every setting with its value (secrets masked) and where it came from."""
    from dataclasses import asdict

    from cli.render import print_settings
    from core.settings.view import describe
    from serving.configuration import load

    loaded = load()
    _warn(loaded.warnings)
    show([asdict(row) for row in describe(loaded)], as_json, print_settings)


@app.command()
def doctor(
    url: Url = None,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the exchange and the sources of market facts instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is missing on this machine, and the remedy; with --live, what the exchange answers."""
    from dataclasses import asdict

    from cli.render import print_findings

    if live:
        from cli.doctor.live import examine_live

        findings = examine_live()
    else:
        from cli.doctor.examine import examine

        findings = examine(url)
    show([asdict(finding) for finding in findings], as_json, print_findings)
    sys.exit(1 if any(finding.state == "bad" for finding in findings) else 0)


@db.command()
def upgrade(as_json: Json = False) -> None:
    """Bring the database to this version's schema."""
    from core.adapters.ledger.migrations import current_revision
    from core.adapters.ledger.migrations import upgrade as migrate
    from serving.configuration import load

    url = load().settings.database_url.get_secret_value()
    before = current_revision(url)
    migrate(url)
    after = current_revision(url)
    words = f"the schema is at {after}" + ("" if before == after else f" (was {before or 'empty'})")
    show({"before": before, "after": after}, as_json, lambda _: typer.echo(words))


@audit.command()
def verify(as_json: Json = False) -> None:
    """Recompute the audit log's hash chain; status 1 when an entry was changed or removed."""
    from dataclasses import asdict

    from cli.audit import verify_chain

    report = verify_chain()
    words = report.problem or f"{report.entries} entries, unbroken; the last hash is {report.hash}"
    show(asdict(report), as_json, lambda _: typer.echo(words))
    sys.exit(1 if report.problem else 0)


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)


def main() -> None:
    """The entry point: an error is one clear message and status 1, never a trace."""
    try:
        app()
    except CrpbotError as error:
        typer.secho(f"error: {error.detail}", fg="red", err=True)
        sys.exit(1)
    except OSError as error:  # such as a state folder that cannot be written; its words name the file
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
