"""What the doctor finds, and that each finding has a remedy."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Thread

import pytest

from cli.doctor.examine import (
    check_database,
    check_listeners,
    check_ports,
    check_server,
    check_state_folder,
    examine,
    run,
    server_family,
)
from cli.doctor.finding import Finding
from cli.doctor.machine import (
    check_cores,
    check_disk,
    check_memory,
    check_packages,
    check_postgres,
    check_python,
    check_shared_memory,
    judge_torch,
)
from core.adapters.ledger.migrations import upgrade
from core.errors import Code, CrpbotError
from core.settings.declared import Settings
from core.settings.sources import load_settings
from serving.processes import Listener, free_ports, identify, listeners
from serving.session import Session, write_session
from tests.cli.conftest import Crpbot, other_program

NOBODY = frozenset[int]()
LOCK = "alpha==1.2.3 \\\n    --hash=sha256:00\nbeta-two==4.5 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n"


def settings_of(folder: Path, **texts: str) -> Settings:
    """Settings with a state folder of the test's own, on ports that are free unless named."""
    http, grpc, dashboard = free_ports(3)
    ours = {
        "CRPBOT__RUNTIME__STATE_FOLDER": str(folder / "state"),
        "CRPBOT__HTTP__PORT": str(http),
        "CRPBOT__GRPC__PORT": str(grpc),
        "CRPBOT__RAY__DASHBOARD_PORT": str(dashboard),
    }
    return load_settings({**ours, **texts}, folder, {}).settings


@contextmanager
def answering(status: int, content: str) -> Iterator[str]:
    """A server on loopback that gives everybody the same answer; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the library's name
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))  # looks that often for the end
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 12, 0), (4, 11, 0)])
def test_another_python_is_bad(version: tuple[int, ...]) -> None:
    finding = check_python(version)
    assert finding.state == "bad"
    assert finding.found == ".".join(map(str, version))
    assert "Python 3.11" in finding.remedy


def test_this_python_is_right() -> None:
    assert check_python().state == "ok"


@pytest.mark.parametrize(
    ("installed", "state", "words"),
    [
        ({"alpha": "1.2.3", "beta-two": "4.5"}, "ok", "all 2 as locked"),
        ({"alpha": "1.2.3+cpu", "beta-two": "4.5"}, "ok", "all 2 as locked"),
        ({"alpha": "1.2.4", "beta-two": "4.5"}, "warn", "alpha 1.2.4 instead of 1.2.3"),
        ({"alpha": "1.2.3"}, "bad", "missing: beta-two 4.5"),
    ],
)
def test_packages_are_compared_with_the_lock(tmp_path: Path, installed: dict[str, str], state: str, words: str) -> None:
    def version_of(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    finding = check_packages(lock, version_of)
    assert (finding.state, words in finding.found) == (state, True), finding


def test_without_a_lock_nothing_is_compared(tmp_path: Path) -> None:
    assert "not compared" in check_packages(tmp_path / "requirements.lock").found


@pytest.mark.parametrize(
    ("version", "cuda", "has_gpu", "state", "remedy"),
    [
        ("2.13.0+cpu", None, False, "ok", ""),
        ("2.13.0", "13.0", True, "ok", ""),
        ("2.13.0", "13.0", False, "warn", "PIP_EXTRA_INDEX_URL"),
        ("2.12.1+cpu", None, False, "warn", "2.13.0"),
    ],
)
def test_torch_must_fit_the_program_and_the_machine(
    version: str, cuda: str | None, has_gpu: bool, state: str, remedy: str
) -> None:
    finding = judge_torch(version, cuda, has_gpu=has_gpu)
    assert finding.state == state
    assert remedy in finding.remedy


def test_a_small_machine_is_a_warning() -> None:
    assert check_cores(1).state == "warn"
    assert check_cores(2).state == "ok"
    assert check_memory(3.9).state == "warn"
    assert check_memory(4.0).state == "ok"


def test_room_is_looked_at_where_a_folder_will_be_made(tmp_path: Path) -> None:
    assert check_disk("state disk", tmp_path / "not" / "yet").state == "ok"
    assert check_shared_memory(1, tmp_path).state == "ok"
    assert check_shared_memory(10**12, tmp_path).state == "warn"
    assert check_shared_memory(1, tmp_path / "none").found == "there is none"


def test_missing_postgresql_programs_are_a_warning(tmp_path: Path) -> None:
    assert check_postgres(path=str(tmp_path), debian=tmp_path).state == "warn"
    (tmp_path / "15" / "bin").mkdir(parents=True)
    (tmp_path / "15" / "bin" / "initdb").touch()
    assert check_postgres(path=str(tmp_path), debian=tmp_path).state == "ok"


def test_a_state_folder_that_cannot_be_made_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert check_state_folder(tmp_path / "file" / "state").state == "bad"
    assert check_state_folder(tmp_path / "new" / "state").state == "ok"


def test_a_database_without_tables_is_a_warning_until_it_is_upgraded(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    before = check_database(settings)
    assert before.state == "warn"
    assert "crpbot db upgrade" in before.remedy
    assert not (tmp_path / "state").exists(), "looking at it must not make it"
    upgrade(settings.database_url.get_secret_value())
    assert check_database(settings).state == "ok"


def test_a_database_of_a_newer_program_is_bad(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    upgrade(settings.database_url.get_secret_value())
    with closing(sqlite3.connect(tmp_path / "state" / "crpbot.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    finding = check_database(settings)
    assert finding.state == "bad"
    assert "9999" in finding.found


def test_a_database_that_does_not_answer_is_bad_and_its_password_not_shown(tmp_path: Path) -> None:
    [port] = free_ports(1)
    settings = settings_of(tmp_path, DB_URL=f"postgresql://crpbot:canary@127.0.0.1:{port}/crpbot")
    finding = check_database(settings)
    assert finding.state == "bad"
    assert "canary" not in finding.found + finding.remedy


def test_free_ports_are_fine(tmp_path: Path) -> None:
    findings = list(check_ports(settings_of(tmp_path), listeners(), NOBODY))
    assert [finding.state for finding in findings] == ["ok", "ok", "ok"]


def test_without_ray_no_dashboard_port_is_needed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, CRPBOT__SERVING__MODE="inprocess")
    assert len(list(check_ports(settings, listeners(), NOBODY))) == 2


def test_a_taken_port_is_told_with_owner_and_setting(tmp_path: Path) -> None:
    with other_program(tmp_path) as (pid, port):
        settings = settings_of(tmp_path, CRPBOT__GRPC__PORT=str(port))
        states = {finding.check: finding for finding in check_ports(settings, listeners(), NOBODY)}
        ours = {finding.check: finding for finding in check_ports(settings, listeners(), frozenset({pid}))}
    taken = states[f"port {port}"]
    assert taken.state == "bad"
    assert f"pid {pid}: {sys.executable} other_program.py" in taken.found
    assert "CRPBOT__GRPC__PORT" in taken.remedy
    assert ours[f"port {port}"].state == "ok"


def test_a_missing_server_is_a_warning(tmp_path: Path) -> None:
    [port] = free_ports(1)
    [finding] = check_server(f"http://127.0.0.1:{port}", tmp_path)
    assert finding.state == "warn"
    assert "crpbot serve" in finding.remedy


def test_each_failing_condition_of_a_server_is_a_row(tmp_path: Path) -> None:
    conditions = [
        {"name": "ledger", "problem": None},
        {"name": "analysts", "problem": "not attached to Ray Serve"},
        {"name": "gateway", "problem": "is stopping"},
    ]
    with answering(503, json.dumps({"ready": False, "conditions": conditions})) as url:
        findings = list(check_server(url, tmp_path))
    assert [(finding.check, finding.state) for finding in findings] == [
        ("server: analysts", "bad"),
        ("server: gateway", "bad"),
    ]
    assert findings[0].found == "not attached to Ray Serve"


def test_a_ready_server_is_fine(tmp_path: Path) -> None:
    with answering(200, '{"ready": true, "conditions": [{"name": "ledger", "problem": null}]}') as url:
        [finding] = check_server(url, tmp_path)
    assert finding.state == "ok"


@pytest.mark.parametrize("content", ["<html>", "[]", '{"status": "alive"}', '{"conditions": [1]}'])
def test_another_program_on_the_port_is_told_as_such(tmp_path: Path, content: str) -> None:
    with answering(200, content) as url:
        [finding] = check_server(url, tmp_path)
    assert finding.state == "bad"
    assert "not CRPBot" in finding.found


def test_a_listener_open_to_other_machines_is_bad() -> None:
    family = frozenset({os.getpid()})
    sockets = [
        Listener(8000, True, os.getpid()),
        Listener(41234, False, os.getpid()),
        Listener(22, False, None),
        Listener(80, False, 1),
    ]
    [finding] = check_listeners(sockets, family)
    assert finding.state == "bad"
    assert finding.check == "listener 41234"
    assert f"pid {os.getpid()} " in finding.found
    assert "python" in finding.found
    assert "41234" in finding.remedy


def test_listeners_on_loopback_are_counted() -> None:
    sockets = [Listener(8000, True, 7), Listener(9000, True, 7), Listener(22, False, None)]
    [finding] = check_listeners(sockets, frozenset({7}))
    assert (finding.state, finding.found) == ("ok", "all 2 listeners on loopback")


def test_the_servers_processes_are_those_of_its_session_and_all_below(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me is not None
    with other_program(tmp_path) as (pid, _):
        session = Session(me, "id", "127.0.0.1:1", str(tmp_path))
        write_session(tmp_path, session)
        assert {os.getpid(), pid} <= server_family(tmp_path)
        write_session(tmp_path, replace(session, supervisor=(me.pid, me.started + 1)))
        assert server_family(tmp_path) == NOBODY, "a pid that was given again is another process"
        left_behind = identify(pid)
        assert left_behind is not None
        write_session(tmp_path, replace(session, supervisor=(me.pid, 0), processes=(left_behind,)))
        assert server_family(tmp_path) == {pid}
    assert server_family(tmp_path / "elsewhere") == NOBODY


def test_a_fault_of_a_check_is_a_row_and_not_the_end() -> None:
    def faulty() -> Finding:
        raise ZeroDivisionError("by accident")

    def refusing() -> Iterator[Finding]:
        yield Finding("first", "ok", "", "")
        raise CrpbotError(Code.UNAVAILABLE, "the disk is away", reason="AWAY")

    [fault] = run("disk", faulty)
    [refusal] = run("disk", refusing)
    assert (fault.check, fault.state, fault.found) == ("disk", "bad", "ZeroDivisionError: by accident")
    assert (refusal.state, refusal.found) == ("bad", "the disk is away")


def test_a_bad_setting_is_one_row_and_the_machine_is_looked_at_all_the_same(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRPBOT__HTTP__PORT", "eighty")
    [port] = free_ports(1)
    findings = {finding.check: finding for finding in examine(f"http://127.0.0.1:{port}")}
    assert findings["settings"].state == "bad"
    assert "CRPBOT__HTTP__PORT" in findings["settings"].found
    assert findings["Python"].state == "ok"
    assert findings["server"].state == "warn"


def test_an_old_spelling_is_a_warning_of_the_doctor_too(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINBASE_API_KEY", "organizations/one/apiKeys/two")
    [port] = free_ports(1)
    found = [finding for finding in examine(f"http://127.0.0.1:{port}") if finding.check == "settings"]
    assert [finding.state for finding in found] == ["warn"]
    assert "COINBASE_API_KEY_NAME" in found[0].found


def test_every_remark_has_a_remedy_the_status_tells_and_nothing_is_changed(tmp_path: Path, crpbot: Crpbot) -> None:
    names = ("CRPBOT__HTTP__PORT", "CRPBOT__GRPC__PORT", "CRPBOT__RAY__DASHBOARD_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(3), strict=True)}
    url = f"http://127.0.0.1:{ports['CRPBOT__HTTP__PORT']}"
    healthy = crpbot("doctor", "--json", "--url", url, **ports)
    assert list(tmp_path.iterdir()) == []
    with other_program(tmp_path) as (_, port):
        ill = crpbot("doctor", "--json", "--url", url, **{**ports, "CRPBOT__HTTP__PORT": str(port)})
    for ended in (healthy, ill):
        rows = json.loads(ended.stdout)
        assert ended.stderr == ""
        assert all((row["remedy"] == "") == (row["state"] == "ok") for row in rows)
        assert ended.returncode == (1 if any(row["state"] == "bad" for row in rows) else 0)
    assert ill.returncode == 1
