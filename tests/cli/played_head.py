"""A head that is played: it answers the mail of a cluster as a real one does, and trains nothing.

What it seals was made beforehand, so that the commands of the laptop are tested without Ray and without a machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from core.files import Files
from core.models.manifest import Kind
from training.cluster.artefacts import keep_run, seal
from training.cluster.mail import (
    Boot,
    JobState,
    State,
    UnitProgress,
    cluster_key,
    job_key,
    write_progress,
    write_state,
)
from training.cluster.order import Recipe
from training.cluster.post import newest_launch
from training.history import History
from training.lesson import prepare
from training.runs import launch
from training.trained import Run

SECONDS = 0.1


def learn(kind: Kind, recipe: Recipe, histories: tuple[History, ...], folder: Path) -> Run:
    """A unit's model, made on this machine as the cluster makes it."""
    lesson = prepare(kind, recipe, histories, root=folder)
    return lesson.finish(launch(lambda _, place: lesson.learn(place), None, lesson.job))


class PlayedHead:
    """While it lasts every cluster of that name is ready at once, and each job ends as it is told to."""

    def __init__(
        self,
        files: Callable[[], Files],
        cluster: str,
        *,
        runs: Mapping[str, Run] | None = None,
        end: JobState | None = JobState.SUCCEEDED,
        faults: Mapping[str, str] | None = None,
        others: Mapping[str, JobState] | None = None,
        begins: threading.Event | None = None,
    ) -> None:
        self.end = end  # None: it runs for ever
        self._others = others or {}  # jobs that are not ours, and how they stand
        self._begins = begins  # until then it does nothing
        self.log = "epoch 1\n"
        self.jobs: list[str] = []
        self.changes: dict[str, bytes] = {}  # files that somebody changes after they were kept
        self._files, self._cluster, self._runs, self._faults = files, cluster, runs or {}, faults or {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play, name="played-head", daemon=True)
        self.fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault

    def _play(self) -> None:
        try:
            while self._begins is not None and not self._begins.is_set() and not self._over.is_set():
                self._begins.wait(SECONDS)
            while not self._over.wait(SECONDS):
                files = self._files()
                boot = newest_launch(files, self._cluster)
                if boot is not None:
                    self._round(files, boot)
        except BaseException as error:  # noqa: BLE001  # it is the test that fails
            self.fault = error

    def _round(self, files: Files, boot: Boot) -> None:
        under = cluster_key(boot.cluster, boot.launch, "inbox/")
        states = {}
        for name in files.stamps(under):
            job = name.removeprefix(under)
            if job in self._others:
                states[job] = self._others[job]
                continue
            if job not in self.jobs:
                self.jobs.append(job)
                self._answer(files, job)
            states[job] = self.end or JobState.RUNNING
        # an hour ahead: what it says is newer than whatever was just written
        state = State(time.time() + 3_600.0, "ready", {"gpu-spot": len(states)}, states, ends_at=boot.ends_at)
        files.write(cluster_key(boot.cluster, boot.launch, "state.json"), write_state(state))

    def _answer(self, files: Files, job: str) -> None:
        units = {name: UnitProgress(10, 10, "done") for name in self._runs}
        units |= {name: UnitProgress(0, 10, "cannot be trained", fault=words) for name, words in self._faults.items()}
        files.write(job_key(job, "progress.json"), write_progress(units))
        files.write(job_key(job, "log.txt"), self.log.encode())
        if self.end in {JobState.SUCCEEDED, JobState.FAILED}:
            for unit, run in self._runs.items():
                keep_run(files, job, unit, run)
                for name, content in self.changes.items():
                    files.write(job_key(job, f"models/{unit}/{name}"), content)
        if self.end is JobState.SUCCEEDED:
            seal(files, job)
