"""What the kernel shows of processes: odd names, families, listeners, and their end."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.processes import (
    Process,
    bind_problem,
    descendants,
    free_ports,
    identify,
    kill_until_gone,
    listeners,
    reap_orphans,
)

PARENT = (
    "import subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); child.wait()"
)


@contextmanager
def sleeper(*command: str | bytes) -> Iterator[Process]:
    """A process that does nothing, as long as the block."""
    with subprocess.Popen(command or ("sleep", "600")) as child:
        try:
            process = identify(child.pid)
            assert process is not None
            yield process
        finally:
            child.kill()


@pytest.mark.parametrize("name", [b"Z) R 1 1", b"\xff\xfe", b"a b\nc"], ids=["parentheses", "not utf-8", "line break"])
def test_a_process_of_any_name_is_seen(tmp_path: Path, name: bytes) -> None:
    program = os.fsencode(tmp_path) + b"/" + name
    shutil.copy(shutil.which("sleep") or "", program)
    with sleeper(program, b"600") as process:
        assert process in descendants(os.getpid())


def test_descendants_are_children_and_theirs_and_nobody_else() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        try:
            assert {parent.pid, grandchild} <= {each.pid for each in descendants(os.getpid())}
            assert [each.pid for each in descendants(parent.pid)] == [grandchild]
            assert descendants(grandchild) == ()
        finally:
            os.kill(grandchild, 9)


def test_a_number_given_again_is_another_process_and_is_not_killed() -> None:
    with sleeper() as process:
        other = process._replace(started=process.started + 1)
        assert kill_until_gone(lambda: [other], seconds=0.0) == ()
        assert identify(process.pid) == process


def test_who_was_killed_is_gone_when_it_returns() -> None:
    with sleeper() as one, sleeper() as other:
        assert kill_until_gone(lambda: [one, other], seconds=60.0) == ()
        assert identify(one.pid) is None
        assert identify(other.pid) is None


def test_who_does_not_go_is_named_after_the_patience() -> None:
    with sleeper() as stubborn:
        started = time.monotonic()
        born_again = iter(range(1_000))

        def find() -> list[Process]:  # as one that starts anew as fast as it is killed would look
            next(born_again)
            child = subprocess.Popen(["sleep", "600"])
            children.append(child)
            process = identify(child.pid)
            assert process is not None
            return [process]

        children: list[subprocess.Popen[bytes]] = []
        left = kill_until_gone(find, seconds=0.2)
        assert [each.pid for each in left] == [children[-1].pid]
        assert time.monotonic() - started < 60.0
        assert identify(stubborn.pid) == stubborn
        for child in children:
            child.wait()


def test_the_dead_are_collected_but_not_those_that_somebody_waits_for() -> None:
    ours, orphan = subprocess.Popen(["true"]), subprocess.Popen(["true"])
    deadline = time.monotonic() + 60.0
    while identify(ours.pid) or identify(orphan.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    reap_orphans({ours.pid})
    assert Path(f"/proc/{ours.pid}").exists()
    assert not Path(f"/proc/{orphan.pid}").exists()
    assert ours.wait() == 0
    orphan.poll()


@pytest.mark.parametrize(("host", "is_loopback"), [("127.0.0.1", True), ("127.8.9.10", True), ("0.0.0.0", False)])
def test_a_listener_is_seen_with_its_owner_and_how_far_it_reaches(host: str, is_loopback: bool) -> None:
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        [found] = [each for each in listeners() if each.port == port]
    assert (found.pid, found.is_loopback) == (os.getpid(), is_loopback)


def test_a_port_is_free_taken_or_refused_for_another_cause() -> None:
    assert bind_problem("127.0.0.1", free_ports(1)[0]) is None
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = bind_problem("127.0.0.1", server.getsockname()[1])
    assert taken is not None
    assert taken.errno == errno.EADDRINUSE
    elsewhere = bind_problem("192.0.2.1", free_ports(1)[0])  # an address for documents, no machine has it
    assert elsewhere is not None
    assert elsewhere.errno == errno.EADDRNOTAVAIL
