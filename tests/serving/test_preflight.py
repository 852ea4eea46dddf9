"""Before a start: one server a folder, what an earlier run left, and the ports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import CrpbotError
from serving.preflight import WantedPort, check_ports, claim, end_earlier_run
from serving.processes import Process, free_ports, identify
from serving.session import Session, read_session, write_session
from tests.cli.conftest import ROOT, other_program

GONE = (2**22 - 1, 1)  # nobody has this number with this start time
HOLDER = """
import sys
from pathlib import Path
from serving.preflight import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def left_behind() -> Iterator[Process]:
    """A process that an earlier run may have left."""
    with subprocess.Popen(["sleep", "60"]) as child:
        process = identify(child.pid)
        assert process is not None
        yield process
        child.kill()


def test_what_a_killed_supervisor_left_is_ended_and_forgotten(tmp_path: Path, left_behind: Process) -> None:
    ray = tmp_path / "ray"
    ray.mkdir()
    write_session(tmp_path, Session(GONE, temp_folder=str(ray), processes=(left_behind,)))
    assert end_earlier_run(tmp_path) == 1
    assert identify(left_behind.pid) is None
    assert not ray.exists()
    assert read_session(tmp_path) is None
    assert end_earlier_run(tmp_path) == 0


def test_a_process_that_has_the_number_by_chance_is_left_alone(tmp_path: Path, left_behind: Process) -> None:
    other = (left_behind.pid, left_behind.started + 1)
    write_session(tmp_path, Session(GONE, processes=(other,)))
    assert end_earlier_run(tmp_path) == 0
    assert identify(left_behind.pid) == left_behind


def test_a_server_that_lives_is_refused_and_its_record_untouched(tmp_path: Path, left_behind: Process) -> None:
    me = identify(os.getpid())
    assert me is not None
    session = Session(me, id="one", processes=(left_behind,))
    write_session(tmp_path, session)
    with pytest.raises(CrpbotError, match=f"pid {os.getpid()}") as refused:
        end_earlier_run(tmp_path)
    assert refused.value.reason == "ALREADY_RUNNING"
    assert read_session(tmp_path) == replace(session, processes=((left_behind.pid, left_behind.started),))
    assert identify(left_behind.pid) == left_behind


def test_a_folder_has_one_holder_who_is_named_until_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CrpbotError, match=f"pid {holder.pid}") as refused, claim(folder):
            pass
        assert refused.value.reason == "ALREADY_RUNNING"
        holder.kill()
        holder.wait()
    with claim(folder):
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"
    assert folder.stat().st_mode & 0o077 == 0


def test_a_taken_port_is_refused_with_its_owner_and_the_setting(tmp_path: Path) -> None:
    with other_program(tmp_path) as (pid, port), pytest.raises(CrpbotError) as refused:
        check_ports([WantedPort("REST", "127.0.0.1", port, "THE_SETTING")])
    assert refused.value.reason == "PORT_TAKEN"
    assert f"port {port} for REST is taken by pid {pid}: " in refused.value.detail
    assert "set THE_SETTING to another port" in refused.value.detail


def test_a_port_refused_for_another_cause_is_not_called_taken() -> None:
    [port] = free_ports(1)
    with pytest.raises(CrpbotError) as refused:
        check_ports([WantedPort("REST", "192.0.2.1", port, "THE_SETTING")])  # an address no machine has
    assert refused.value.reason == "PORT_REFUSED"
    assert "Cannot assign requested address" in refused.value.detail
    check_ports([WantedPort("REST", "127.0.0.1", port, "THE_SETTING")])
