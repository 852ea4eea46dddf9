"""The commands of `crpbot data`. Imports are lazy, so that `crpbot --help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.output import show

data = typer.Typer(help="Market data on disk: fetch, validate, features, plot.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Input = Annotated[Path, typer.Option("--input", help="A Parquet file, or a folder of them.")]

RAW_FOLDER = Path("data/raw")
FEATURES_FOLDER = Path("data/features")
INTERRUPTED = 130  # as shells say it of what Ctrl-C ended


@data.command()
def fetch(
    start: Annotated[str, typer.Option(help="First candle, such as 2024-11-21 (UTC).")],
    symbol: Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Such as BTC-USD (repeatable).")] = None,
    interval: Annotated[list[str] | None, typer.Option("--interval", "-i", help="Such as 1m (repeatable).")] = None,
    end: Annotated[str | None, typer.Option(help="Just after the last candle; now if unset.")] = None,
    output: Annotated[Path, typer.Option(help="Folder of the files.")] = RAW_FOLDER,
    every: Annotated[bool, typer.Option("--all", help="All ten symbols.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask for known candles too, and record what changed.")] = False,
    provider: Annotated[str, typer.Option(help="coinbase, or synthetic to try it without a network.")] = "coinbase",
    as_json: Json = False,
) -> None:
    """Download candles to Parquet. Killed at any moment, the same command goes on where it stopped."""
    from cli.data.tables import print_outcomes
    from cli.data.work import Order, build_source, plain
    from cli.data.work import fetch as run
    from cli.progress import bar
    from core.errors import invalid

    if every == bool(symbol):
        raise invalid("symbol", "name symbols with --symbol BTC-USD, or take all ten with --all")
    order = Order(tuple(symbol or ()), tuple(interval or ("1m",)), start, end, output, again)
    try:
        with bar("fetching", unit="candles") as tell:
            outcomes = run(order, build_source(provider), tell)
    except KeyboardInterrupt:
        typer.secho("stopped; what is downloaded stays, and the same command goes on from there", fg="yellow", err=True)
        sys.exit(INTERRUPTED)
    show(plain(outcomes), as_json, print_outcomes)
    sys.exit(1 if any(outcome.problem for outcome in outcomes) else 0)


@data.command()
def validate(place: Input = RAW_FOLDER, as_json: Json = False) -> None:
    """Find gaps, duplicates, spikes and other defects; status 1 when a file must not be trained on."""
    from cli.data.tables import print_verdicts
    from cli.data.work import plain
    from cli.data.work import validate as run

    verdicts = run(place)
    show(plain(verdicts), as_json, print_verdicts)
    sys.exit(1 if any(verdict.reasons for verdict in verdicts) else 0)


@data.command()
def features(
    place: Input = RAW_FOLDER,
    output: Annotated[Path, typer.Option(help="Folder of the feature files.")] = FEATURES_FOLDER,
    as_json: Json = False,
) -> None:
    """Make the features that models read; what must not be trained on gets none, and status 1."""
    import os

    from serving.session import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
    from cli.data.tables import print_written
    from cli.data.work import features as run
    from cli.data.work import plain
    from cli.progress import bar

    with bar("features") as tell:
        written = run(place, output, tell)
    show(plain(written), as_json, print_written)
    sys.exit(1 if any(each.problem for each in written) else 0)


@data.command()
def plot(
    file: Annotated[Path, typer.Option("--input", help="A Parquet file of candles.")],
    output: Annotated[Path | None, typer.Option(help="A page (.html) or a picture (.svg).")] = None,
    start: Annotated[str | None, typer.Option(help="First candle, such as 2025-12-12T14:30 (UTC).")] = None,
    end: Annotated[str | None, typer.Option(help="Just after the last candle.")] = None,
    as_json: Json = False,
) -> None:
    """Draw candles, volume, holes and defects; any browser shows it, without a network."""
    from cli.data.work import plot as run

    path = run(file, output, start=start, end=end)
    show({"file": str(path)}, as_json, lambda _: typer.echo(f"drawn: {path}"))
