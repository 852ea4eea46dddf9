"""Every process of a group, then Ray itself, is killed under signals: what is answered, and when is all whole again?

`python -m bench.kills [--seconds 22] [--json FILE]`: a server of its own with a full set of models of real size that
nobody trained. One caller asks for one signal after the other, each by `v7` and, in the shadow book, by `v6`; with the
analysts gone a call may be answered with fewer theories, with models gone `v6` goes on with the weights that are left.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from bench.figures import Figure, at_least, at_most, print_figures, write_figures
from bench.planted_models import plant, wait_until_all_speak
from loadtests.server import Server
from serving.processes import Process, command_line, kill

GROUPS: Final = ("analysts", "lstm", "transformer", "ppo")
RAY_SECONDS: Final = 180.0  # Ray starts anew, and every group after it
PAUSE_SECONDS: Final = 0.2
SIGNALS_AN_ACCOUNT: Final = 5  # a fresh account before limits of an hour answer in the place of those asked
TIMEOUT_SECONDS: Final = 30.0
# signals by the hour and so little risk that no loss limit answers
ENVIRONMENT: Final = {"MAX_SIGNALS_PER_HOUR": "60", "CRPBOT__RISK__RISK_PERCENT": "0.01"}


@dataclass(slots=True)
class Seen:
    """What came back after one kill."""

    killed: int
    seconds: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # no answer, or no signal in it
    theories: list[float] = field(default_factory=list)  # coverage of v7
    models: list[float] = field(default_factory=list)  # coverage of v6; 0 where it could not be asked
    whole_after: float = 0.0

    def figures(self, victim: str, *, may_refuse: bool) -> Iterator[Figure]:
        """As rows of the table."""
        yield Figure(f"{victim}: processes killed", "", (float(self.killed),), at_least(1.0))
        yield Figure(f"{victim}: signals asked for", "", (float(len(self.seconds)),))
        yield Figure(f"{victim}: not answered", "", (float(len(self.refused)),), None if may_refuse else at_most(0.0))
        yield Figure(f"{victim}: longest answer", "s", (max(self.seconds),))
        yield Figure(f"{victim}: least coverage of v7", "", (min(self.theories, default=0.0),))
        yield Figure(f"{victim}: least coverage of v6", "", (min(self.models, default=0.0),))
        yield Figure(f"{victim}: whole again after", "s", (self.whole_after,))


class Caller:
    """Asks for signals, one after the other, each under an account that has room for it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._account = ""
        self.usual = (0.0, 0.0)  # coverage of v7 and v6 while nothing is killed: a theory may have nothing to say yet

    def ask(self, seen: Seen) -> bool:
        """One signal; whether no more was missing in it than usual."""
        started = time.monotonic()
        try:
            if (number := next(self._numbers)) % SIGNALS_AN_ACCOUNT == 0:
                self._account = f"kills-{number}"
                told = {"id": self._account, "kind": "paper", "initial_capital": "100000"}
                self._client.post("/v1/accounts", json=told).raise_for_status()
            answer = self._client.post("/v1/signals", json={"symbol": "BTC-USD", "account": self._account})
            answer.raise_for_status()
            (decided,) = answer.json()["signals"]
            seen.seconds.append(time.monotonic() - started)
            beside = {"book": "shadow", "strategy": "v6", "limit": 1}
            shadow = self._client.get("/v1/signals", params=beside).raise_for_status().json()["signals"]
        except (httpx.HTTPError, KeyError, ValueError) as error:
            seen.seconds.append(time.monotonic() - started)
            seen.refused.append(f"{type(error).__name__}: {error}")
            return False
        is_beside = bool(shadow) and shadow[0]["timestamp"][:19] >= decided["timestamp"][:19]
        seen.theories.append(decided["coverage"])
        seen.models.append(shadow[0]["coverage"] if is_beside else 0.0)
        return seen.theories[-1] >= self.usual[0] and seen.models[-1] >= self.usual[1]

    def get_to_know(self) -> None:
        """What is usual."""
        seen = Seen(0)
        self.ask(seen)
        if seen.refused or not min(seen.theories[-1], seen.models[-1]):
            raise RuntimeError(f"the server does not decide by theories and models: {seen}")
        self.usual = (seen.theories[-1], seen.models[-1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=22.0, help="of questions after the kill of a group")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args()
    found: dict[str, Seen] = {}
    with tempfile.TemporaryDirectory(prefix="crpbot-bench-") as folder:
        os.environ |= {**ENVIRONMENT, "ARTIFACT_URL": f"{folder}/models"}
        plant(Path(folder) / "models")
        server = Server(Path(folder), "ray")
        try:
            wait_until_all_speak(server.url)
            with httpx.Client(base_url=server.url, trust_env=False, timeout=TIMEOUT_SECONDS) as client:
                caller = Caller(client)
                caller.get_to_know()
                gateway = _processes(server, "serving.app gateway")
                for group in GROUPS:
                    found[group] = measure(caller, _processes(server, f"ServeReplica:{group}"), chosen.seconds)
                found["Ray"] = measure(caller, _processes(server, "raylet/raylet"), RAY_SECONDS, until_whole=True)
                is_same = _processes(server, "serving.app gateway") == gateway
        finally:
            server.end()
    figures = [row for victim, seen in found.items() for row in seen.figures(victim, may_refuse=victim == "Ray")]
    figures.append(Figure("the gateway is the process that it was", "", (float(is_same),), at_least(1.0)))
    print_figures(figures, title="signals while what answers them is killed")
    refused = {victim: seen.refused for victim, seen in found.items() if seen.refused}
    for victim, words in refused.items():
        sys.stderr.write(f"{victim}: {len(words)} not answered, the first: {words[0]}\n")
    if chosen.json:
        write_figures(figures, chosen.json)
    is_back = found["Ray"].whole_after < RAY_SECONDS
    return 0 if refused.keys() <= {"Ray"} and is_same and is_back else 1


def measure(caller: Caller, victims: tuple[Process, ...], seconds: float, *, until_whole: bool = False) -> Seen:
    """Kills them, asks for signals so long, and notes when nothing is missing any more."""
    seen = Seen(len(kill(victims)))
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        is_whole = caller.ask(seen)
        if not is_whole:
            seen.whole_after = time.monotonic() - started
        elif until_whole and seen.whole_after:
            break
        time.sleep(PAUSE_SECONDS)
    return seen


def _processes(server: Server, words: str) -> tuple[Process, ...]:
    """Those of the server whose command line has these words."""
    return tuple(each for each in server.processes() if words in command_line(each.pid))


if __name__ == "__main__":
    sys.exit(main())
