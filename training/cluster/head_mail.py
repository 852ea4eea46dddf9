"""One round of a head's mail: reads letters and requests to stop, gives jobs to Ray, and says how everything is."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import CrpbotError
from core.files import Files
from training.cluster.inbox import JobsApi, Plan, Try, entrypoint, plan, read_log
from training.cluster.machine import steady
from training.cluster.mail import MOST_TEXT_BYTES, Boot, State, cluster_key, job_key, write_state

TROUBLE: Final = "trouble/"  # what machines that could not start have left: the last lines of their logs
MOST_WORDS: Final = 300
LOG: Final = logging.getLogger("crpbot.head")


class Sight(NamedTuple):
    """What Ray said at one look. The instant is of the steady clock."""

    steady: float
    tries: tuple[Try, ...]
    workers: dict[str, int]  # alive, by node type
    problems: tuple[str, ...]  # why machines could not be had
    fallback: tuple[str, ...] = ()  # which are asked for instead


class HeadMail:
    """The head's side of the bucket. A round may block; UNAVAILABLE where the bucket does not answer."""

    def __init__(self, files: Files, boot: Boot, jobs: JobsApi, logs: Path, *, patience: float) -> None:
        self.idle_for: float | None = None  # seconds, as the watchdog counts
        self.ending = ""
        self.waiting = 0  # letters that Ray is to be given: work that the watchdog has to know of
        self.failed_boots = 0  # machines that could not start
        self.boot_words = ""  # of the last of them
        self._files, self._boot, self._jobs, self._logs = files, boot, jobs, logs
        self._patience = patience  # seconds: a letter that Ray has not taken by then keeps no machine alive
        self._seen_at: dict[tuple[str, str], float] = {}
        self._given: set[str] = set()  # tries that Ray took from this life of the program
        self._posted: dict[str, bytes] = {}
        self._troubles: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    def post(self, sight: Sight | None) -> None:
        """One round; without a sight nothing is given to Ray."""
        at = time.time()  # before the letters are listed: whoever compares knows which of them were read
        names = self._files.stamps(self._key(""))
        letters, stops = self._below(names, "inbox/"), self._below(names, "stop/")
        tries = () if sight is None else sight.tries
        todo = plan(letters, stops, tries)
        self.waiting = self._count_waiting(todo)
        if sight is not None and not self.ending:
            self._give(todo)
        self._read_troubles(self._below(names, TROUBLE))
        self._post_logs(tries)
        self._files.write(self._key("state.json"), write_state(self._state(at, sight, todo)))

    def publish(self, name: str, content: bytes) -> None:
        """Leaves a text of the launch, once."""
        if self._posted.get(name) != content:
            self._files.write(self._key(name), content)
            self._posted[name] = content

    def _give(self, todo: Plan) -> None:
        for name, job, letter in todo.submit:
            if name in self._given:  # Ray's last answer is older than that
                continue
            command = entrypoint(sys.executable, self._boot.url, job)
            try:
                self._jobs.submit(name, command=command, job=job, letter=letter)
            except CrpbotError as error:  # the other jobs go on; this one is tried again at the next round
                self._refused[job] = error.detail
                LOG.warning("job %s: %s", job, error)
            else:
                self._refused.pop(job, None)
                self._given.add(name)
        for name in todo.stop:
            try:
                self._jobs.stop(name)
            except CrpbotError as error:
                LOG.warning("job %s: %s", name, error)

    def _count_waiting(self, todo: Plan) -> int:
        now = steady()
        self._seen_at = {(job, letter): self._seen_at.get((job, letter), now) for _, job, letter in todo.submit}
        return sum(now - since < self._patience for since in self._seen_at.values())

    def _read_troubles(self, found: Mapping[str, str]) -> None:
        for machine in found:
            if machine not in self._troubles:
                text = self._files.read(self._key(f"{TROUBLE}{machine}"), most=MOST_TEXT_BYTES).decode(errors="replace")
                last = next(
                    (line.strip() for line in reversed(text.splitlines()) if line.strip()), "it does not say why"
                )
                words = f"machine {machine.removesuffix('.txt')} could not start: {last[:MOST_WORDS]}"
                self._troubles[machine] = self.boot_words = words
                self.failed_boots = len(self._troubles)

    def _post_logs(self, tries: tuple[Try, ...]) -> None:
        newest = {each.job: each.id for each in sorted(tries, key=lambda each: each.at) if each.job}
        for job, name in newest.items():
            content = read_log(self._logs, name)
            digest = sha256(content).digest()
            if content and self._posted.get(job) != digest:
                self._files.write(job_key(job, "log.txt"), content)
                self._posted[job] = digest

    def _state(self, at: float, sight: Sight | None, todo: Plan) -> State:
        problems = () if sight is None else (*sight.problems, *sight.fallback)
        return State(
            at=at,
            phase="ending" if self.ending else "starting" if sight is None else "ready",
            workers={} if sight is None else sight.workers,
            jobs=todo.states,
            problems=(*self._refused.values(), *self._troubles.values(), *problems),
            ends_at=self._boot.ends_at,
            idle_since=None if self.idle_for is None else at - self.idle_for,
            ending=self.ending,
        )

    def _below(self, names: Mapping[str, str], folder: str) -> dict[str, str]:
        begin = self._key(folder)
        return {name.removeprefix(begin): stamp for name, stamp in names.items() if name.startswith(begin)}

    def _key(self, name: str) -> str:
        return cluster_key(self._boot.cluster, self._boot.launch, name)
