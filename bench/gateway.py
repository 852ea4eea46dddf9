"""What the way through the gateway and Ray Serve costs, against servers that do the same work with nothing around it.

`make bench` runs it. Both sides are asked in turns by one client on one machine in one run, so the ratios hold where
the absolute figures do not. A partial answer is refused before anything is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench.figures import Figure, at_least, at_most, print_figures, ratio, write_figures
from bench.generator import Load, Target, rest, rpc
from loadtests.payloads import Body, encode, one_symbol, own_candles, ten_symbols
from loadtests.server import Server, running_server
from serving.processes import free_ports

ROOT: Final = Path(__file__).parents[1]
START_SECONDS: Final = 30.0
BUSY: Final = 16  # callers at once: more than the machine's cores and the replicas' places
OURS_REST, OURS_RPC = "gateway, REST", "gateway, gRPC"
BARE_REST, BARE_RPC = "bare FastAPI", "bare grpc.aio"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long everything takes."""

    rounds: int
    warm_up_seconds: float
    seconds: float
    starts: int
    idle_seconds: float


FULL: Final = Plan(rounds=5, warm_up_seconds=1.0, seconds=5.0, starts=3, idle_seconds=30.0)
QUICK: Final = Plan(rounds=2, warm_up_seconds=0.5, seconds=1.0, starts=1, idle_seconds=3.0)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short rounds: whether it runs, not what it costs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    figures = measure(plan)
    title = "quick rounds: plausible, not quotable" if options.quick else "gateway against bare servers, same run"
    print_figures(figures, title=title)
    if options.json:
        write_figures(figures, options.json)
    return 0


def measure(plan: Plan) -> list[Figure]:
    """Every figure. Servers are started several times; the last life bears the load."""
    cold_starts, memories, ends = [], [], []
    figures: list[Figure] = []
    for start in range(plan.starts):
        with running_server() as server:
            cold_starts.append(server.cold_start_seconds)
            time.sleep(plan.idle_seconds)
            memories.append(server.memory_mib() / 1_024)
            if start == plan.starts - 1:
                figures = _measure_load(server, plan)
            ends.append(server.end())
    return [
        *figures,
        Figure("start of `crpbot serve` to ready", "s", tuple(cold_starts), at_most(20)),
        Figure(f"memory of all processes, idle for {plan.idle_seconds:.0f} s", "GiB", tuple(memories), at_most(1.3)),
        Figure("SIGINT to the last process gone", "s", tuple(ends), at_most(10)),
    ]


def _measure_load(server: Server, plan: Plan) -> list[Figure]:
    own = own_candles()
    with ExitStack() as stack:
        bare_http, bare_grpc = free_ports(2)
        stack.enter_context(_bare_server("bench.bare_http", bare_http))
        stack.enter_context(_bare_server("bench.bare_grpc", bare_grpc))
        for body in (own, one_symbol(), ten_symbols()):
            _refuse_partial(server, body)
        targets = [
            rest(OURS_REST, server.http_port, own),
            rest(BARE_REST, bare_http, own),
            rpc(OURS_RPC, server.grpc_address, own),
            rpc(BARE_RPC, f"127.0.0.1:{bare_grpc}", own),
        ]
        symbols = [
            rest("one symbol", server.http_port, one_symbol()),
            rest("ten symbols", server.http_port, ten_symbols()),
        ]
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return [
                *_latency(runner.run(_rounds(targets, plan, concurrency=1))),
                *_throughput(runner.run(_rounds(targets, plan, concurrency=BUSY))),
                *_width(runner.run(_rounds(symbols, plan, concurrency=1))),
            ]


Rounds = dict[str, list[Load]]
"""The loads of each target, one a round."""


async def _rounds(targets: Sequence[Target], plan: Plan, *, concurrency: int) -> Rounds:
    """All targets in turn, again and again, so that a slow minute of the machine falls on all of them."""
    loads: Rounds = {target.name: [] for target in targets}
    for _ in range(plan.rounds):
        for target in targets:
            loads[target.name].append(
                await target.load(concurrency=concurrency, warm_up_seconds=plan.warm_up_seconds, seconds=plan.seconds)
            )
    return loads


def _latency(loads: Rounds) -> Iterator[Figure]:
    medians = {name: _milliseconds(each, 50) for name, each in loads.items()}
    for name, each in loads.items():
        goal = at_most(6) if name in (OURS_REST, OURS_RPC) else None
        yield Figure(f"{name}, 1 caller: p50", "ms", medians[name], goal)
        yield Figure(f"{name}, 1 caller: p99", "ms", _milliseconds(each, 99))
    yield ratio("gRPC / REST of the gateway: p50, 1 caller", medians[OURS_RPC], medians[OURS_REST], at_most(1))


def _throughput(loads: Rounds) -> Iterator[Figure]:
    rates = {name: tuple(load.per_second for load in each) for name, each in loads.items()}
    for name, each in loads.items():
        yield Figure(f"{name}, {BUSY} callers", "/s", rates[name])
        yield Figure(f"{name}, {BUSY} callers: p99", "ms", _milliseconds(each, 99))
    yield ratio(f"gateway / bare, REST, {BUSY} callers", rates[OURS_REST], rates[BARE_REST], at_least(0.5))
    yield ratio(f"gateway / bare, gRPC, {BUSY} callers", rates[OURS_RPC], rates[BARE_RPC], at_least(0.5))
    yield ratio(f"gRPC / REST of the gateway, {BUSY} callers", rates[OURS_RPC], rates[OURS_REST], at_least(1))


def _width(loads: Rounds) -> Iterator[Figure]:
    one, ten = (_milliseconds(loads[name], 50) for name in ("one symbol", "ten symbols"))
    yield Figure("one symbol, REST: p50", "ms", one)
    yield Figure("ten symbols in one call, REST: p50", "ms", ten)
    yield ratio("ten symbols / one symbol: p50", ten, one, at_most(3))


def _milliseconds(loads: Sequence[Load], percent: int) -> tuple[float, ...]:
    return tuple(load.milliseconds(percent) for load in loads)


def _refuse_partial(server: Server, body: Body) -> None:
    """Nothing is quicker than not computing: every theory must have answered."""
    analyses = json.loads(server.answer(encode(body)))["analyses"]
    missing = [gap for analysis in analyses for gap in analysis["missing"]]
    if missing:
        raise RuntimeError(f"a partial answer, so there is nothing to compare: {missing}")


@contextmanager
def _bare_server(module: str, port: int) -> Iterator[None]:
    """A yardstick in a process of its own, as long as the block."""
    process = subprocess.Popen([sys.executable, "-m", module, str(port)], cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{module} does not answer on port {port}")
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
