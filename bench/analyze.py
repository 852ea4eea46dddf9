"""How long all theories take through Ray Serve: one symbol and ten, with two replicas and with one.

`python -m bench.analyze [--calls 200] [--json FILE]`: a server of its own on the synthetic market, one caller in a
closed loop over REST. The first start fits the theories that learn, which takes a while; the second finds them fitted.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import httpx

from bench.figures import Figure, at_most, print_figures, write_figures
from core.analyzers import discover
from core.market import SYMBOLS
from loadtests.server import Server

GROUPS = "CRPBOT__SERVING__GROUPS_FILE"
ONE_REPLICA = {"groups": [{"name": "analysts", "theories": "*", "replicas": 1, "cpus": 0.1, "concurrency": 2}]}
# Of the fifteen these have nothing to read on the synthetic market: trades and facts of the whole market.
WITHOUT_FACTS = 2
WARM_CALLS = 20
FIT_SECONDS = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200, help="calls for each figure")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crpbot-bench-") as name:
        folder = Path(name)
        figures = measure(folder, "two replicas", arguments.calls, ten_goal=100.0)
        groups = folder / "groups.yaml"
        groups.write_text(json.dumps(ONE_REPLICA))
        os.environ[GROUPS] = str(groups)
        figures += measure(folder, "one replica", arguments.calls, ten_goal=160.0)
    print_figures(figures, title=f"/v1/analyze, all {len(discover())} theories, 500 candles, one caller")
    if arguments.json:
        write_figures(figures, arguments.json)


def measure(folder: Path, replicas: str, calls: int, *, ten_goal: float) -> list[Figure]:
    """One life of the server."""
    server = Server(folder, "ray")
    try:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30.0) as client:
            wait_for_fits(client)
            one = time_calls(client, {"symbol": "BTC-USD"}, calls)
            ten = time_calls(client, {"symbols": list(SYMBOLS)}, max(calls // 4, 10))
    finally:
        server.end()
    return [
        Figure(f"one symbol, {replicas}", "ms", one, at_most(22.0)),
        Figure(f"ten symbols in one call, {replicas}", "ms", ten, at_most(ten_goal)),
        Figure(f"cold start, {replicas}", "s", (server.cold_start_seconds,)),
    ]


def wait_for_fits(client: httpx.Client) -> None:
    """The server answers while it still fits; the figures are of all theories."""
    deadline = time.monotonic() + FIT_SECONDS
    while len(silent(client, {"symbols": list(SYMBOLS)})) > WITHOUT_FACTS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the theories were not fitted within {FIT_SECONDS:.0f} s")
        time.sleep(1.0)


def silent(client: httpx.Client, body: dict[str, object]) -> set[str]:
    """The theories that had nothing to say about some symbol."""
    analyses = client.post("/v1/analyze", json=body).raise_for_status().json()["analyses"]
    return {reading["theory"] for analysis in analyses for reading in analysis["readings"] if reading["problem"]}


def time_calls(client: httpx.Client, body: dict[str, object], calls: int) -> tuple[float, ...]:
    """Milliseconds of each call."""
    times = []
    for number in range(WARM_CALLS + calls):
        started = time.perf_counter()
        answer = client.post("/v1/analyze", json=body)
        elapsed = 1_000.0 * (time.perf_counter() - started)
        answer.raise_for_status()
        if number >= WARM_CALLS:
            times.append(elapsed)
    return tuple(times)


if __name__ == "__main__":
    main()
