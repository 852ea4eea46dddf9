"""Models are replaced while 50 questions a second are asked: how many fail, and does any answer mix two versions?

`python -m bench.swap [--seconds 30] [--json FILE]`: a server of its own with a full set of models of real size that
nobody trained; every other second one of them is replaced. Questions come by the clock, whatever the server does. An
answer is mixed when one model speaks in it under two versions, or says of the same minute what it did not say before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop

from bench.figures import Figure, at_least, at_most, print_figures, write_figures
from bench.planted_models import make, plant, set_to_work, wait_until_all_speak
from core.market import SYMBOLS
from core.models.manifest import Kind
from loadtests.server import Server

PER_SECOND: Final = 50
SWAP_SECONDS: Final = 2.0
TAKEN_UP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.2
LAST_DIGIT: Final = 1.5e-6  # a batch of another size may round a sum the other way
ASKED: Final = SYMBOLS[:2]
TURNS: Final = ((Kind.LSTM, ASKED[:1]), (Kind.TRANSFORMER, SYMBOLS), (Kind.PPO, ASKED[1:]), (Kind.LSTM, ASKED[1:]))


@dataclass(slots=True)
class Seen:
    """What came back under load."""

    milliseconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)
    said: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def read(self, answer: dict[str, Any]) -> None:  # Any: JSON
        """Checks one answer against itself and against those before it."""
        spoken: dict[str, set[str]] = {}
        for each in answer["forecasts"]:
            for forecast in each["forecasts"]:
                name = forecast["kind"]
                if forecast["probability"] is None:
                    self.silent.append(f"{each['symbol']} {name}: {forecast['problem']}")
                    continue
                owner = name if name == Kind.TRANSFORMER else f"{name} {each['symbol']}"
                spoken.setdefault(owner, set()).add(forecast["version"])
                self.versions.add(forecast["version"])
                key = (each["symbol"], each["as_of"], forecast["version"])
                if abs(self.said.setdefault(key, forecast["probability"]) - forecast["probability"]) > LAST_DIGIT:
                    self.mixed.append(f"{key} said {self.said[key]} and {forecast['probability']}")
        self.mixed += [f"{owner} spoke as {', '.join(found)}" for owner, found in spoken.items() if len(found) > 1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.swap", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crpbot-bench-") as folder:
        models = Path(folder) / "models"
        os.environ["ARTIFACT_URL"] = str(models)
        plant(models)
        server = Server(Path(folder), "ray")
        try:
            wait_until_all_speak(server.url)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                seen, swaps, lags = runner.run(measure(server.url, models, chosen.seconds))
        finally:
            server.end()
    figures = [
        Figure("questions asked", "", (float(len(seen.milliseconds)),)),
        Figure("models replaced", "", (float(swaps),), at_least(1.0)),
        Figure("failed", "", (float(len(seen.failed)),), at_most(0.0)),
        Figure("answers that mix versions", "", (float(len(seen.mixed)),), at_most(0.0)),
        Figure("models silent in an answer", "", (float(len(seen.silent)),), at_most(0.0)),
        Figure("versions that spoke", "", (float(len(seen.versions)),)),
        Figure("time of an answer", "ms", tuple(seen.milliseconds)),
        Figure("from the pointer to the first answer of the new model", "s", tuple(lags)),
    ]
    print_figures(figures, title=f"replacing models under {PER_SECOND} questions a second for two symbols")
    for words in (*seen.failed[:3], *seen.mixed[:3], *seen.silent[:3]):
        sys.stderr.write(f"{words}\n")
    if chosen.json:
        write_figures(figures, chosen.json)
    return 1 if seen.failed or seen.mixed or seen.silent else 0


async def measure(url: str, models: Path, seconds: float) -> tuple[Seen, int, list[float]]:
    """Questions by the clock, and beside them one replacement after the other."""
    seen, lags = Seen(), list[float]()
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:
        ends = time.monotonic() + seconds
        swapping = asyncio.create_task(_swap(models, seen, ends, lags))
        tasks = []
        for number in itertools.count():
            due = ends - seconds + number / PER_SECOND
            if due > ends:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(_ask(client, seen)))
        await asyncio.gather(*tasks)
        swaps = await swapping
    return seen, swaps, lags


async def _ask(client: httpx.AsyncClient, seen: Seen) -> None:
    started = time.perf_counter()
    try:
        answer = await client.post("/v1/forecast", json={"symbols": list(ASKED)})
        answer.raise_for_status()
        seen.read(answer.json())
    except (httpx.HTTPError, KeyError, ValueError) as error:
        seen.failed.append(f"{type(error).__name__}: {error}")
    seen.milliseconds.append(1_000.0 * (time.perf_counter() - started))


async def _swap(models: Path, seen: Seen, ends: float, lags: list[float]) -> int:
    """Replaces one model after the other, each only when the one before has been heard."""
    for number, (kind, symbols) in zip(itertools.count(), _turns(), strict=False):
        if time.monotonic() + SWAP_SECONDS > ends:
            return number
        model = await asyncio.to_thread(make, kind, tuple(symbols), seed=1_000 + number)
        version = await asyncio.to_thread(set_to_work, models, model)
        started = time.monotonic()
        while version not in seen.versions:
            if time.monotonic() > min(ends, started + TAKEN_UP_SECONDS):
                seen.failed.append(f"{version} was not heard within {time.monotonic() - started:.1f} s")
                return number
            await asyncio.sleep(POLL_SECONDS / 4)
        lags.append(time.monotonic() - started)
        await asyncio.sleep(max(0.0, SWAP_SECONDS - lags[-1]))
    return 0


def _turns() -> Iterator[tuple[Kind, tuple[str, ...]]]:
    return itertools.cycle(TURNS)


if __name__ == "__main__":
    sys.exit(main())
