"""Every command of `crpbot`: its help, its JSON, its errors."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from api.body import adapter
from cli.main import app, main
from cli.render import print_analyses
from cli.serve import Steps
from core.adapters.synthetic.market import SyntheticMarket
from core.analysis import AnalyzeRequest, AnalyzeResponse
from core.analyzers import discover
from core.desk import Defaults, Desk
from core.panel import LocalAnalysts
from serving.configuration import load
from serving.processes import free_ports
from tests.cli.conftest import PATIENT, ROOT, Crpbot, clean_environment, other_program
from tests.core.recordings import make_rows, save

HEAVY = ("ray", "fastapi", "numpy", "sqlalchemy", "grpc")
SECRETS = {
    "DEEPSEEK_API_KEY": "canary-deepseek-0123456789",
    "COINBASE_API_PRIVATE_KEY": "canary-coinbase-0123456789",
    "COINGECKO_API_KEY": "canary-coingecko-0123456789",
    "TELEGRAM_TOKEN": "canary-telegram-0123456789",
    "FTMO_PASS": "canary",
}
PORTS = ("CRPBOT__HTTP__PORT", "CRPBOT__GRPC__PORT", "CRPBOT__RAY__DASHBOARD_PORT")
HIDE_CURSOR = "\x1b[?25l"
SHOW_CURSOR = "\x1b[?25h"
DATABASE_PASSWORD = "canary-database-0123456789"


def leaf_commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its path. Any: typer's classes for them are its own affair."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaf_commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
        "sys.argv = ['crpbot', '--help']\n"
        "from cli.main import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = ended.stderr.rsplit("LOADED", 1)[1].split()
    assert "typer" in loaded
    assert not set(HEAVY) & set(loaded)
    for path, _ in leaf_commands(typer.main.get_command(app)):
        assert path[0] in ended.stdout


def test_every_command_offers_json() -> None:
    commands = dict(leaf_commands(typer.main.get_command(app)))
    assert {("serve",), ("analyze",), ("db", "upgrade")} <= set(commands)
    for path, command in commands.items():
        options = {spelling for parameter in command.params for spelling in parameter.opts}
        assert "--json" in options, f"{' '.join(path)} has no --json"


def test_theories_as_json_are_the_catalogue() -> None:
    listed = json.loads(CliRunner().invoke(app, ["theories", "--json"]).stdout)
    assert [theory["name"] for theory in listed] == list(discover())


def test_the_ledger_of_a_fresh_folder_is_made_once(crpbot: Crpbot) -> None:
    first = json.loads(crpbot("db", "upgrade", "--json").stdout)
    second = json.loads(crpbot("db", "upgrade", "--json").stdout)
    assert first["before"] is None
    assert first["after"] is not None
    assert second == {"before": first["after"], "after": first["after"]}
    assert json.loads(crpbot("audit", "verify", "--json").stdout)["problem"] is None


@pytest.mark.usefixtures("empty_folder")
def test_a_local_analysis_is_the_desks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PATIENT.items():
        monkeypatch.setenv(name, value)
    outcome = CliRunner().invoke(app, ["analyze", "BTC-USD", "eth/usd", "--local", "--json", "--window", "300"])
    assert outcome.exit_code == 0, outcome.output
    analyses = json.loads(outcome.stdout)
    as_of = datetime.fromisoformat(analyses[0]["as_of"])
    settings = load().settings
    desk = Desk(
        market=SyntheticMarket(settings.market.synthetic_seed, edge=settings.market.synthetic_edge),
        analysts=LocalAnalysts(time.monotonic),
        now=lambda: as_of,
        defaults=Defaults(settings.market.interval, settings.market.window),
    )
    request = AnalyzeRequest(symbols=("BTC-USD", "ETH-USD"), window=300)
    response = asyncio.run(desk.analyze(request, timeout_seconds=60.0))
    assert {"analyses": analyses, "refused": []} == json.loads(adapter(AnalyzeResponse).dump_json(response))
    assert [analysis["symbol"] for analysis in analyses] == ["BTC-USD", "ETH-USD"]


def test_a_symbol_that_cannot_be_read_costs_the_others_nothing(tmp_path: Path, crpbot: Crpbot) -> None:
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    save(recorded, make_rows("5m", 300), interval="5m")
    replay = {**PATIENT, "DATA_PROVIDER": "replay", "CRPBOT__MARKET__REPLAY_FOLDER": str(recorded)}
    ended = crpbot(
        "analyze", "BTC-USD", "ETH-USD", "--local", "--json", "-t", "shannon_entropy", "--window", "200", **replay
    )
    assert [analysis["symbol"] for analysis in json.loads(ended.stdout)] == ["BTC-USD"]
    assert ended.stderr.startswith("error: ETH-USD: replay: ETH-USD: no candles of 5m")
    assert ended.returncode == 1


def test_doubtful_candles_are_told_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    doubt = {"reason": "REVISED", "detail": "close 1 became 2"}
    analysis = {"symbol": "BTC-USD", "price": "1", "window": 200, "interval": "5m", "as_of": "2026-03-02T12:00:00Z"}
    told = {"source": "coinbase", "synthetic": False, "readings": [], "missing": [], "coverage": 0.0}
    print_analyses([{**analysis, **told, "degradations": [doubt]}])
    printed = " ".join(capsys.readouterr().out.split())
    assert "no decision may rest on these candles (REVISED)" in printed


def test_a_local_analysis_needs_no_server_and_prints_a_table(crpbot: Crpbot) -> None:
    ended = crpbot("analyze", "BTC-USD", "--local", "-t", "shannon_entropy", **PATIENT)
    assert ended.returncode == 0, ended.stderr
    assert "shannon_entropy" in ended.stdout
    assert "invented prices" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("analyze", "NOPE-USD", "--local"), "NOPE-USD"),
        (("analyze", "BTC-USD", "--local", "-t", "astrology"), "astrology"),
        (("analyze", "BTC-USD", "--local", "--window", "7"), "7 is not between 200"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_status_one(
    empty_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["crpbot", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_missing_server_is_one_line_too(crpbot: Crpbot) -> None:
    ended = crpbot("analyze", "BTC-USD", "--url", "http://127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: no server answers at http://127.0.0.1:1 ")
    assert line.endswith("or add --local to compute here")


def test_the_server_asked_is_that_of_the_settings_unless_one_is_named(tmp_path: Path, crpbot: Crpbot) -> None:
    ours, named = free_ports(2)
    (tmp_path / ".env").write_text(f"CRPBOT__HTTP__PORT={ours}\n")
    assert f"no server answers at http://127.0.0.1:{ours} " in crpbot("analyze", "BTC-USD").stderr
    url = f"http://127.0.0.1:{named}"
    assert f"no server answers at {url} " in crpbot("analyze", "BTC-USD", CRPBOT_URL=url).stderr


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, crpbot: Crpbot) -> None:
    (tmp_path / "file").touch()
    ended = crpbot("serve", CRPBOT__RUNTIME__STATE_FOLDER=str(tmp_path / "file" / "state"))
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(tmp_path / "file") in line


def test_a_model_without_a_price_is_refused_before_anything_is_started(tmp_path: Path, crpbot: Crpbot) -> None:
    state = tmp_path / "state"
    settings = {"DEEPSEEK_API_KEY": "sk-0123456789abcdef", "CRPBOT__RUNTIME__STATE_FOLDER": str(state)}
    ended = crpbot("serve", LLM_MODEL="qwen3", **settings)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: LLM_MODEL: no price is known for 'qwen3'")
    assert "LLM_PRICE_FREE=true" in ended.stderr
    assert not state.exists()


def test_a_step_that_fails_gives_the_cursor_back() -> None:
    screen = io.StringIO()
    step = Steps(Console(file=screen, force_terminal=True)).step("gateway")
    assert screen.getvalue().count(HIDE_CURSOR) == 1
    step.failed()
    assert screen.getvalue().rfind(SHOW_CURSOR) > screen.getvalue().rfind(HIDE_CURSOR)
    assert "✓" not in screen.getvalue()


def test_a_note_is_shown_as_it_is() -> None:
    screen = io.StringIO()
    Steps(Console(file=screen)).note("the end of the log: [/red] [bold]")
    assert "[/red] [bold]" in screen.getvalue()


def test_the_steps_go_on_when_the_terminal_is_gone() -> None:
    with Path("/dev/full").open("w") as gone:
        steps = Steps(Console(file=gone, force_terminal=True))
        with pytest.raises(OSError, match="No space left"):
            Console(file=gone).print("nobody reads this")
        steps.note("the gateway ended")
        steps.step("end").failed()
        with suppress(OSError):
            gone.close()


def test_a_bad_setting_is_named_without_a_trace(crpbot: Crpbot) -> None:
    ended = crpbot("show-config", CRPBOT__HTTP__PORT="eighty")
    assert ended.returncode == 1
    assert "CRPBOT__HTTP__PORT" in ended.stderr
    assert "eighty" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("show-config",), ("show-config", "--json")], ids=["table", "json"])
def test_the_settings_are_shown_without_their_secrets(crpbot: Crpbot, arguments: tuple[str, ...]) -> None:
    database = f"postgresql://crpbot:{DATABASE_PASSWORD}@127.0.0.1/crpbot"
    ended = crpbot(*arguments, **SECRETS, DB_URL=database)
    assert ended.returncode == 0, ended.stderr
    for name in SECRETS:
        assert name in ended.stdout
    assert "canary" not in ended.stdout + ended.stderr


def test_the_settings_as_json_say_where_each_came_from(crpbot: Crpbot) -> None:
    rows = json.loads(crpbot("show-config", "--json", CRPBOT__HTTP__PORT="8123").stdout)
    origins = {row["name"]: (row["value"], row["origin"]) for row in rows}
    assert origins["CRPBOT__HTTP__PORT"] == ("8123", "environment")
    assert origins["CRPBOT__GRPC__PORT"] == ("9000", "default")


@pytest.mark.parametrize("setting", PORTS)
def test_a_taken_port_is_told_with_its_owner_and_the_setting(tmp_path: Path, crpbot: Crpbot, setting: str) -> None:
    settings = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    with other_program(tmp_path) as (pid, port):
        ended = crpbot("serve", **{**settings, setting: str(port)})
    assert ended.returncode == 1
    told = ended.stderr.splitlines()[-1]
    assert f"port {port}" in told
    assert f"pid {pid}: {sys.executable} other_program.py" in told
    assert f"set {setting} to another port" in told
    assert "Traceback" not in ended.stderr


def test_serving_as_json_prints_where_everything_is_and_nothing_else(tmp_path: Path) -> None:
    http, grpc = free_ports(2)
    settings = {"CRPBOT__SERVING__MODE": "inprocess", "CRPBOT__HTTP__PORT": str(http), "CRPBOT__GRPC__PORT": str(grpc)}
    settings["CRPBOT__SERVING__FIT_AT_START"] = settings["CRPBOT__SERVING__SCHEDULE"] = "false"
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "serve", "--json"],
        cwd=tmp_path,
        env={**clean_environment(), "PYTHONPATH": str(ROOT), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        server.send_signal(signal.SIGINT)
        rest, progress = server.communicate(timeout=300)
    assert server.returncode == 0, progress
    assert json.loads(line)["REST"] == f"http://127.0.0.1:{http}/v1/analyze"
    assert rest == ""
    assert "gateway" in progress
