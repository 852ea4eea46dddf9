"""`crpbot serve`: shows the start step by step, then where everything is, then a first analysis."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import typer
from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

from cli.render import analysis_table, console
from core.settings.declared import Settings
from core.settings.values import mask_database_url
from serving.configuration import load
from serving.probe import server_url
from serving.session import token_file
from serving.signals import require_priced_model
from serving.supervisor import Supervisor

FIRST_SYMBOL = "BTC-USD"


class Step:
    """One step of the start: a spinner while it runs, a line with its time when it is done."""

    def __init__(self, name: str, terminal: Console) -> None:
        self._name = name
        self._terminal = terminal
        self._started = time.monotonic()
        self._live = Live(Spinner("dots", f" {name} ..."), console=terminal, transient=True)
        _tell(self._live.start)

    def tell(self, words: str) -> None:
        """Shows how far it is."""
        told = f" {self._name} ... [dim]{escape(words)}[/]" if words else f" {self._name} ..."
        _tell(lambda: self._live.update(Spinner("dots", told)))

    def done(self) -> None:
        """Replaces the spinner by the outcome."""
        seconds = time.monotonic() - self._started
        _tell(self._live.stop)
        _tell(lambda: self._terminal.print(f"[green]✓[/] {self._name} [dim]{seconds:.1f} s[/]"))

    def failed(self) -> None:
        """Takes the spinner away and gives the cursor back; why it failed is told by whoever knows."""
        _tell(self._live.stop)


class Steps:
    """Progress on the terminal."""

    def __init__(self, terminal: Console) -> None:
        self._terminal = terminal

    def step(self, name: str) -> Step:
        return Step(name, self._terminal)

    def note(self, words: str) -> None:
        _tell(lambda: self._terminal.print(f"[yellow]·[/] {escape(words)}"))


def _tell(action: Callable[[], object]) -> None:
    """Writes to the terminal, if there still is one: the server, and above all its end, must not depend on that."""
    with suppress(OSError):
        action()


def run(overrides: Mapping[str, str], *, first_analysis: bool, as_json: bool) -> int:
    """Serves until Ctrl-C."""
    loaded = load(overrides)
    for warning in loaded.warnings:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    settings = loaded.settings
    require_priced_model(settings)
    steps = Steps(console(stderr=as_json))  # whoever wants JSON reads it from standard output, and nothing else there
    supervisor = Supervisor(settings, steps, environment={**os.environ, **overrides}, shows_signals=not as_json)

    def when_ready() -> None:
        if as_json:
            typer.echo(json.dumps(dict(places(settings))))
            return
        console().print(_places_table(settings))
        if first_analysis:
            _show_first_analysis(settings)
        console().print("Ctrl-C ends everything.")

    return supervisor.run(lambda: _tell(when_ready))


def places(settings: Settings) -> list[tuple[str, str]]:
    """Where everything is."""
    http = server_url(settings)
    found = [
        ("REST", f"{http}/v1/analyze"),
        ("OpenAPI page", f"{http}/docs"),
        ("gRPC", f"{settings.grpc.host}:{settings.grpc.port} (with reflection)"),
        ("Metrics", f"{http}/metrics"),
    ]
    if settings.serving.mode == "ray":
        token = token_file(settings.runtime.state_folder)
        found.append(("Ray dashboard", f"http://127.0.0.1:{settings.ray.dashboard_port} (token: cat {token})"))
    found += [
        ("Market data", _market_words(settings)),
        ("Database", mask_database_url(settings.database_url)),
        ("Logs", str(settings.runtime.state_folder.resolve() / "logs")),
    ]
    return found


def _edge_words(settings: Settings) -> str:
    return ", with an edge planted for the models" if settings.market.synthetic_edge else ""


def _market_words(settings: Settings) -> str:
    if settings.market.provider == "synthetic":
        return (
            f"synthetic (seed {settings.market.synthetic_seed}{_edge_words(settings)}): invented prices, marked in "
            "every answer. "
            "Real ones: DATA_PROVIDER=coinbase, without a key; recorded ones: DATA_PROVIDER=replay "
            "CRPBOT__MARKET__REPLAY_FOLDER=FOLDER"
        )
    if settings.market.provider == "coinbase":
        key = "signed with your key" if settings.coinbase.api_key_name else "no key needed"
        return f"Coinbase ({settings.coinbase.base_url}, {key})"
    return f"replay of {settings.market.replay_folder}"


def _places_table(settings: Settings) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    for name, place in places(settings):
        table.add_row(f"[bold]{name}[/]", place)
    return table


def _show_first_analysis(settings: Settings) -> None:
    from client.sdk import ApiError, Client

    try:
        with Client(server_url(settings)) as client:
            console().print(analysis_table(client.analyze(FIRST_SYMBOL)[0]))
    except ApiError as error:
        console().print(f"[yellow]no first analysis: {error}[/]")
