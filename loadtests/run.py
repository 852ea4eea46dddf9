"""Load on both faces for half a minute, and a table of how they bore it: `make loadtest`.

Starts a server of its own unless one is named. Ends with status 1 when a request failed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.server import Mode, running_server

ROOT: Final = Path(__file__).parents[1]
MAX_USERS: Final = 100  # more in one process measure the generator's own queue
BUSY_PERCENT: Final = 80.0  # of one core: above this the generator itself is the bottleneck
STOP_SECONDS: Final = "15"  # longer than a request may take: one that hangs must be seen as a failure, not cut off
SHOWN_FAILURES: Final = 3
NEEDED_FOR_P99: Final = 100  # of fewer requests the largest is no percentile


@dataclass(frozen=True, slots=True)
class Operation:
    """How one operation went. A percentile is None where too few requests were sent to know it."""

    name: str
    requests: int
    failures: int
    per_second: float
    median_ms: float
    p95_ms: float
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole run."""

    operations: tuple[Operation, ...]
    failures: tuple[str, ...]
    generator_cpu_percent: float


def measure(url: str, grpc_address: str, *, users: int, seconds: int) -> Outcome:
    """Runs locust in a process of its own: importing it changes the sockets of whoever imports it."""
    with tempfile.TemporaryDirectory(prefix="crpbot-load-") as folder:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "locust", "--locustfile", "loadtests/locustfile.py", "--headless"]
        command += ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s", "--host", url]
        command += ["--grpc-address", grpc_address, "--record", str(record), "--exit-code-on-error", "0"]
        command += ["--stop-timeout", STOP_SECONDS]
        before, started = _children_cpu_seconds(), time.monotonic()
        locust = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        cpu = (_children_cpu_seconds() - before) / (time.monotonic() - started)
        if locust.returncode != 0:
            raise RuntimeError(f"locust ended with status {locust.returncode}:\n{locust.stderr[-2_000:]}")
        return summarize(json.loads(record.read_text()), seconds, generator_cpu_percent=100 * cpu)


def summarize(
    record: Mapping[str, Any],  # Any: decoded JSON
    seconds: float,
    *,
    generator_cpu_percent: float,
) -> Outcome:
    """The figures of each operation from the times of its requests."""
    operations = []
    for name in sorted(record):
        times = sorted(record[name]["milliseconds"])
        operations.append(
            Operation(
                name,
                requests=len(times),
                failures=len(record[name]["failures"]),
                per_second=len(times) / seconds,
                median_ms=percentile(times, 50),
                p95_ms=percentile(times, 95),
                p99_ms=percentile(times, 99) if len(times) >= NEEDED_FOR_P99 else None,
            )
        )
    failures = sorted({f"{name}: {failure}" for name in record for failure in record[name]["failures"]})
    return Outcome(tuple(operations), tuple(failures), generator_cpu_percent)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def print_outcome(outcome: Outcome) -> None:
    """The table for people."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("Operation", no_wrap=True)
    for column in ("Requests", "Failures", "per s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in outcome.operations:
        failures = f"[red]{each.failures}[/]" if each.failures else "0"
        p99 = "-" if each.p99_ms is None else f"{each.p99_ms:.1f}"
        table.add_row(
            each.name,
            f"{each.requests:,}",
            failures,
            f"{each.per_second:.1f}",
            f"{each.median_ms:.1f}",
            f"{each.p95_ms:.1f}",
            p99,
        )
    console.print(table)
    for failure in outcome.failures[:SHOWN_FAILURES]:
        console.print(f"failed: {failure[:300]}", style="red", markup=False)
    busy = outcome.generator_cpu_percent
    note = " Its own queueing is in the times: use fewer users." if busy > BUSY_PERCENT else ""
    console.print(f"locust used {busy:.0f} % of one core, its start included.{note}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="REST address of a running server; without it one is started")
    parser.add_argument("--grpc", default="127.0.0.1:9000", help="gRPC address of the server named by --url")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--users", type=int, default=20, choices=range(2, MAX_USERS + 1), metavar=f"2-{MAX_USERS}")
    parser.add_argument("--mode", choices=("ray", "inprocess"), default="ray", help="of the server that is started")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    outcome = _run(options.url, options.grpc, options.mode, users=options.users, seconds=options.seconds)
    if options.json:
        print(json.dumps(asdict(outcome), indent=2))
    else:
        print_outcome(outcome)
    return 1 if outcome.failures or not outcome.operations else 0


def _run(url: str | None, grpc_address: str, mode: Mode, *, users: int, seconds: int) -> Outcome:
    if url is not None:
        return measure(url, grpc_address, users=users, seconds=seconds)
    with running_server(mode) as server:
        return measure(server.url, server.grpc_address, users=users, seconds=seconds)


def _children_cpu_seconds() -> float:
    """Processor time of the children that have ended; the server runs on and is not among them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
