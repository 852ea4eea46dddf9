"""`crpbot replay` and `crpbot explain`: what they print, and the status that scripts go by."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.signals.decision_commands import explain, replay
from cli.signals.decision_tables import MOST_EQUAL, print_replayed
from core.adapters.ledger.migrations import upgrade
from core.errors import CrpbotError
from core.signal import Mode
from tests.core.replay_cases import ask, settings_of

SYMBOLS = ("BTC-USD", "ETH-USD")


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a server that decided on two symbols in two modes."""
    folder = tmp_path_factory.mktemp("decided")
    upgrade(settings_of(folder, {}).database_url.get_secret_value())
    asyncio.run(ask(folder, {}, [("5m", Mode.CONSERVATIVE), ("15m", Mode.AGGRESSIVE)], SYMBOLS))
    return folder


@pytest.fixture
def app(empty_folder: Path, decided: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The two commands, over that ledger."""
    assert empty_folder.is_dir()
    monkeypatch.setenv("CRPBOT__RUNTIME__STATE_FOLDER", str(decided))
    monkeypatch.setenv("COLUMNS", "200")
    made = typer.Typer()
    made.command()(replay)
    made.command()(explain)
    return made


def run(app: typer.Typer, *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of a command."""
    ended = CliRunner().invoke(app, arguments)
    if isinstance(ended.exception, CrpbotError):
        raise ended.exception
    return ended.exit_code, ended.stdout, ended.stderr


def replayed(app: typer.Typer) -> list[dict[str, Any]]:
    """All decisions, as JSON."""
    status, output, _ = run(app, "replay", "--all", "--json")
    assert status == 0
    found: list[dict[str, Any]] = json.loads(output)
    return found


def test_all_decisions_are_replayed_in_a_table_that_ends_with_the_sum(app: typer.Typer) -> None:
    status, output, told = run(app, "replay", "--all")
    assert status == 0
    assert output.splitlines()[-1] == "4 decisions, 0 differences"
    assert output.count("sig_") == 4
    assert "4 of 4: " in told, "progress is told"


def test_one_decision_is_replayed_by_its_id(app: typer.Typer) -> None:
    first = replayed(app)[0]
    status, output, _ = run(app, "replay", first["id"], "--json")
    assert status == 0
    assert json.loads(output) == [first]
    assert (first["decision"], first["prompt"], first["readings"], first["differences"]) == (True, None, True, [])


def test_an_altered_decision_is_told_and_the_status_is_1(app: typer.Typer, decided: Path) -> None:
    third = replayed(app)[2]
    (path,) = decided.rglob("*.db")
    change = f"UPDATE signals SET price = price || '1' WHERE id = '{third['id']}'"
    undo = f"UPDATE signals SET price = substr(price, 1, length(price) - 1) WHERE id = '{third['id']}'"
    with closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(change).rowcount == 1
    status, output, _ = run(app, "replay", "--all")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(undo)
    assert status == 1
    assert output.splitlines()[-1] == "4 decisions, 1 differences"
    assert "is not what was stored" in output.replace("\n", " ")


def test_neither_or_both_of_id_and_all_is_refused(app: typer.Typer) -> None:
    for arguments in ((), ("sig_1", "--all")):
        with pytest.raises(CrpbotError, match="give the id of one decision, or --all"):
            run(app, "replay", *arguments)


@pytest.mark.parametrize("command", ["replay", "explain"])
def test_an_unknown_id_is_refused_by_name(command: str, app: typer.Typer) -> None:
    with pytest.raises(CrpbotError, match="no signal 'sig_nowhere'"):
        run(app, command, "sig_nowhere")


def test_an_explanation_is_printed_with_its_sentences_and_votes(app: typer.Typer) -> None:
    for found in replayed(app):
        status, output, _ = run(app, "explain", found["id"], "--json")
        told = json.loads(output)
        assert (status, told["id"], told["symbol"]) == (0, found["id"], found["symbol"])
        status, output, _ = run(app, "explain", found["id"])
        lines = [line.strip() for line in output.splitlines()]
        assert status == 0
        assert found["symbol"] in lines[0]
        assert told["sentences"]
        assert all(sentence[:80] in output for sentence in told["sentences"])
        for vote in told["moved"]:
            assert any(vote["theory"] in line and f"{vote['pull']:+.3f}" in line and "┃" in line for line in lines)


def test_of_very_many_decisions_only_those_that_differ_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"symbol": "BTC-USD", "decision": True, "prompt": None, "readings": True, "differences": [], "remarks": []}
    rows = [{**row, "id": f"sig_{number}"} for number in range(MOST_EQUAL + 1)]
    rows[7] |= {"decision": False, "differences": ["confidence: a", "coverage: b"]}
    rows[8] |= {"decision": None, "remarks": ["its texts have been forgotten"]}
    print_replayed(rows)
    output = capsys.readouterr().out
    assert "sig_7" in output
    assert "sig_7: coverage: b" in output
    assert "sig_9" not in output
    assert output.splitlines()[-2:] == [
        "1 could not be replayed: what they rested on has been forgotten",
        f"{MOST_EQUAL + 1} decisions, 2 differences",
    ]
