"""A private PostgreSQL server for the tests, made from the server binaries found on this machine.

`CRPBOT_TEST_POSTGRES_URL` names another server to use; its user must be allowed to create databases.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from core.adapters.ledger.migrations import upgrade

URL_VARIABLE = "CRPBOT_TEST_POSTGRES_URL"
NO_SERVER = f"no PostgreSQL: install its server (initdb on PATH or in /usr/lib/postgresql/*/bin) or set {URL_VARIABLE}"
PROGRAMS = ("initdb", "pg_ctl", "postgres")

# the machine will not lose power during a test, so nothing waits for the disk; a killed server loses nothing this way
SERVER_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server's files below `folder`, and the programs that run it."""

    programs: Path
    folder: Path

    def create(self) -> None:
        """Make the files. The folder is given to `nobody` when we are root: the server refuses to run as root."""
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._run("initdb", "-U", "crpbot", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        """Start on a Unix socket in the folder, without TCP, and wait until it answers."""
        self._run("pg_ctl", "-w", "-l", f"{self.folder}/log", "-o", f"-k {self.folder} {SERVER_OPTIONS}", "start")

    def stop(self) -> None:
        """Stop as a crash would: no farewell to the clients, no checkpoint."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", f"{self.folder}/cluster", *arguments]
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        # no pipe: the server would inherit it, and waiting for its end would last as long as the server
        subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, check=True, timeout=300, **user)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. `url` opens its maintenance database; `cluster` is None when it is not ours to stop."""

    url: str
    cluster: Cluster | None
    free: list[str] = field(default_factory=list)

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The URL of an empty database that is the caller's own as long as the block.

        Databases are emptied and used again: making one copies a thousand pages, 0.25 s where writes are slow.
        """
        name = self.free.pop() if self.free else self._create_database()
        url = make_url(self.url).set(database=name).render_as_string(hide_password=False)
        try:
            yield url
        finally:
            self._disconnect_clients(name)
            _execute(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            self.free.append(name)

    @contextmanager
    def new_copy(self, template: str) -> Iterator[str]:
        """The URL of a copy of a database that nobody is connected to, the caller's own as long as the block."""
        name = f"crpbot_test_{uuid4().hex}"
        _execute(self.url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield make_url(self.url).set(database=name).render_as_string(hide_password=False)
        finally:
            self._disconnect_clients(name)
            _execute(self.url, f"DROP DATABASE {name}")

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """The name of a database with all tables, to be copied: a third of the time that the migrations take."""
        name = self._create_database()
        upgrade(make_url(self.url).set(database=name).render_as_string(hide_password=False))
        try:
            yield name
        finally:
            _execute(self.url, f"DROP DATABASE {name}")

    def drop_databases(self) -> None:
        """Leave the server as it was found."""
        for name in self.free:
            _execute(self.url, f"DROP DATABASE {name}")

    def _create_database(self) -> str:
        name = f"crpbot_test_{uuid4().hex}"
        _execute(self.url, f"CREATE DATABASE {name}")
        return name

    def _disconnect_clients(self, name: str) -> None:
        # a connection left open by a failed test would keep its locks for ever
        _execute(self.url, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")


@contextmanager
def running_server(environment: Mapping[str, str]) -> Iterator[PostgresServer]:
    """The server named in the environment, or a private one for the length of the block."""
    if URL_VARIABLE in environment:
        server = PostgresServer(environment[URL_VARIABLE], None)
        yield server
        server.drop_databases()
        return
    programs = find_programs(environment.get("PATH", ""))
    if programs is None:
        skip_without_server(environment)
    # directly under the temporary folder: `nobody` must be able to enter, and the path of a socket must be short
    cluster = Cluster(programs, Path(tempfile.mkdtemp(prefix="crpbot-pg-")))
    try:
        cluster.create()
        cluster.start()
        try:
            yield PostgresServer(f"postgresql+psycopg://crpbot@/postgres?host={cluster.folder}", cluster)
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(cluster.folder)


def find_programs(path: str, debian: Path = Path("/usr/lib/postgresql")) -> Path | None:
    """The folder with all three programs: where the initdb on PATH really lies, else the newest of Debian's."""
    found = shutil.which("initdb", path=path)
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(debian.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    return next((folder for folder in candidates if all((folder / name).exists() for name in PROGRAMS)), None)


def skip_without_server(environment: Mapping[str, str]) -> NoReturn:
    """Half of the ledger's tests would not run: on a developer's machine that is said, in CI it is a failure."""
    if environment.get("CI") == "true":
        pytest.fail(NO_SERVER)
    pytest.skip(NO_SERVER)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement.encode())
