"""How long a decision takes through the whole way, and a risk check: all theories, the rule, SQLite.

`python -m bench.signals [--mode ray|inprocess|both] [--models] [--calls 100] [--json FILE]`: a server of its own on the
synthetic market over REST, one caller in a closed loop; the risk check also with sixteen callers. With `--models` an
LSTM and an agent for each symbol and a Transformer for all of them, of real size, are asked beside the theories, and
three strategies are decided and stored. Time of a language model comes on top and is not in these figures; what its
client adds to it is told by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import uvloop

from bench.analyze import WARM_CALLS, wait_for_fits
from bench.figures import Figure, Goal, at_least, at_most, print_figures, write_figures
from bench.generator import Load, rest
from core.market import SYMBOLS
from loadtests.server import Mode, Server

BUSY: Final = 16  # callers at once
WARM_SECONDS: Final = 1.0
SECONDS: Final = 5.0
ROUNDS: Final = 3
QUESTIONS: Final = 200
# Limits so wide, and accounts so many, that no decision of the run is refused before it is read.
WIDE: Final = {"MAX_SIGNALS_PER_HOUR": "60", "CRPBOT__RISK__RISK_PERCENT": "0.01"}
CALLS_AN_ACCOUNT: Final = 5
BTC: Final = {"symbol": "BTC-USD", "direction": "BUY", "stop_loss": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.signals", description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("ray", "inprocess", "both"), default="both")
    parser.add_argument("--calls", type=int, default=100, help="calls for one symbol; a third as many for ten")
    parser.add_argument("--models", action="store_true", help="with a full set of models beside the theories")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args()
    os.environ.update(WIDE)
    modes: Sequence[Mode] = ("inprocess", "ray") if chosen.mode == "both" else (chosen.mode,)
    figures: list[Figure] = []
    for mode in modes:
        with tempfile.TemporaryDirectory(prefix="crpbot-bench-") as folder:
            if chosen.models:
                from bench.planted_models import plant

                os.environ["ARTIFACT_URL"] = f"{folder}/models"
                plant(Path(folder) / "models")
            figures += measure(Path(folder), mode, chosen.calls, models=chosen.models)
    figures.append(asyncio.run(_time_question()))
    load = "/".join(f"{each:.1f}" for each in os.getloadavg())
    print_figures(figures, title=f"POST /v1/signals and /v1/risk/check, rule synthesis, SQLite; load average {load}")
    if chosen.json:
        write_figures(figures, chosen.json)


def measure(folder: Path, mode: Mode, calls: int, *, models: bool = False) -> list[Figure]:
    """One life of the server. In the mode without Ray fits are not awaited: nobody makes them there."""
    server = Server(folder, mode)
    try:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30.0) as client:
            if mode == "ray":
                wait_for_fits(client)
            if models:
                from bench.planted_models import wait_until_all_speak

                wait_until_all_speak(server.url)
            one = time_decisions(client, "one", {"symbol": "BTC-USD"}, calls)
            ten = time_decisions(client, "ten", {"symbols": list(SYMBOLS)}, max(calls // 3, 10))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            alone, busy = runner.run(_check_loads(server))
    finally:
        server.end()
    beside = ", with models" if models else ""
    return [
        _figure(f"signal, one symbol, 1 caller{beside}", mode, one, at_most(60.0 if models else 40.0)),
        _figure(f"signal, ten symbols in one call{beside}", mode, ten, at_most(260.0 if models else 200.0)),
        _figure("risk check, 1 caller: p50", mode, tuple(load.milliseconds(50) for load in alone), at_most(3.0)),
        Figure(f"risk check, {BUSY} callers, {mode}", "/s", tuple(load.per_second for load in busy), at_least(800.0)),
        _figure(f"risk check, {BUSY} callers: p99", mode, tuple(load.milliseconds(99) for load in busy)),
    ]


def time_decisions(client: httpx.Client, name: str, body: dict[str, object], calls: int) -> tuple[float, ...]:
    """Milliseconds of each call. A decision that was refused before anything was read is quick and no figure."""
    taken = []
    for number in range(WARM_CALLS + calls):
        if number % CALLS_AN_ACCOUNT == 0:
            account = {"id": f"{name}-{number}", "kind": "paper", "initial_capital": "100000"}
            client.post("/v1/accounts", json=account).raise_for_status()
        started = time.perf_counter()
        answer = client.post("/v1/signals", json={**body, "account": account["id"]})
        elapsed = 1_000.0 * (time.perf_counter() - started)
        refused = [each["reasoning"] for each in answer.raise_for_status().json()["signals"] if not each["votes"]]
        if refused:
            raise RuntimeError(f"not a whole decision, so there is nothing to time: {refused[0]}")
        if number >= WARM_CALLS:
            taken.append(elapsed)
    return tuple(taken)


async def _check_loads(server: Server) -> tuple[list[Load], list[Load]]:
    """The risk check by one caller and by many, in turns."""
    target = rest("risk check", server.http_port, BTC, path="/v1/risk/check")
    alone, busy = [], []
    for _ in range(ROUNDS):
        alone.append(await target.load(concurrency=1, warm_up_seconds=WARM_SECONDS, seconds=SECONDS))
        busy.append(await target.load(concurrency=BUSY, warm_up_seconds=WARM_SECONDS, seconds=SECONDS))
    return alone, busy


async def _time_question() -> Figure:
    """A long question to a language model written, and its answer read."""
    from core.adapters.chat.answer import read_completion
    from core.adapters.chat.http import ChatHttp, ChatOptions
    from core.adapters.exchange_http import Surroundings
    from core.llm.asking import Prompt

    http = ChatHttp(ChatOptions("http://127.0.0.1:9", "a model"), Surroundings())
    prompt = Prompt("json " * 400, "x" * 4_000)
    choice = {"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 2_000, "completion_tokens": 9}
    answer = json.dumps({"choices": [choice], "usage": usage}).encode()
    taken = []
    for _ in range(QUESTIONS):
        started = time.perf_counter()
        http.encode(prompt)
        read_completion(answer)
        taken.append(1_000.0 * (time.perf_counter() - started))
    await http.close()
    return Figure("a question to a language model, without the model", "ms", tuple(taken), at_most(1.0))


def _figure(name: str, mode: Mode, values: tuple[float, ...], goal: Goal | None = None) -> Figure:
    return Figure(f"{name}, {mode}", "ms", values, goal)


if __name__ == "__main__":
    main()
