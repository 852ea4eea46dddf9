"""The models asked in this process: opened from their folder when the first of them is to speak.

The gateway asks them so where it runs without Ray, and so does each replica on Ray Serve (serving/models.py). One
thread asks the models that decide, another those on trial, a third opens models: neither a candidate nor a promotion
keeps a question waiting. A computation that never ends keeps its thread; the next question gets another one, and its
model is not asked again before it has ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Final

from core.analysis import Findings, Missing
from core.errors import CrpbotError
from core.market import Windows
from core.models.answers import Told, gather

if TYPE_CHECKING:
    from core.models.shelf import ModelShelf

logger = logging.getLogger(__name__)

STUCK_SECONDS: Final = 60.0  # twice the longest deadline of a call


class LocalModels:
    """A shelf of models and its threads.

    `open_shelf` is called once a model is to be opened, and again after it failed: without models nobody needs torch.
    """

    def __init__(self, open_shelf: Callable[[], ModelShelf]) -> None:
        self._open_shelf = open_shelf
        self._shelf: ModelShelf | None = None
        self._opening = Lock()
        self._deciding = _Lane("asks-models")
        self._trying = _Lane("asks-candidates")
        self._opener = ThreadPoolExecutor(1, "opens-models")

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
    ) -> list[list[Findings]]:
        """For each batch and row, what these versions say. Who is not done in time is missing, the others answer."""
        if not theories:
            return [[Findings((), ())] * len(batch) for batch in batches]
        rows = sum(len(batch) for batch in batches)
        hung = self.hung()
        asked = tuple(version for version in theories if version not in hung)
        question = _Question(batches, asked, time.monotonic() + timeout_seconds)
        faults = {version: Missing(version, "failed", why) for version, why in hung.items()}
        try:
            work = (self._trying if on_trial else self._deciding).submit(self._answer, question)
            await asyncio.wait_for(asyncio.wrap_future(work), timeout_seconds)
        except TimeoutError:  # what was said so far counts; the thread goes on alone
            pass
        except CrpbotError as error:
            faults |= {version: Missing(version, error.reason.lower(), error.detail) for version in asked}
        told = dict(question.told) | {version: [gap] * rows for version, gap in faults.items()}
        return gather(batches, theories, told)

    async def prepare(self, versions: Sequence[str]) -> dict[str, str]:
        """Opens these versions beside those that answer, and says why one cannot be used (empty: it can)."""
        if not versions and self._shelf is None:
            return {}
        found = await asyncio.get_running_loop().run_in_executor(self._opener, self._prepare, tuple(versions))
        return found | {version: why for version, why in self.hung().items() if version in found}

    def hung(self, *, deciding_only: bool = False) -> dict[str, str]:
        """The models whose computation has not ended for a long time, each with a sentence about it."""
        lanes = (self._deciding,) if deciding_only else (self._deciding, self._trying)
        return {version: why for lane in lanes for version, why in lane.hung().items()}

    def close(self) -> None:
        """Lets the threads go; what is under way is waited for by nobody."""
        self._deciding.close()
        self._trying.close()
        self._opener.shutdown(wait=False, cancel_futures=True)

    def _answer(self, question: _Question) -> None:
        shelf = self._open()
        from core.models.panel import ask_each

        left = question.seconds_left
        for version, outcomes in ask_each(shelf, question.batches, question.versions, left):
            question.told[version] = outcomes

    def _prepare(self, versions: tuple[str, ...]) -> dict[str, str]:
        try:
            return self._open().prepare(versions)
        except CrpbotError as error:
            return dict.fromkeys(versions, error.detail)

    def _open(self) -> ModelShelf:
        with self._opening:  # the threads share one shelf
            if self._shelf is None:
                self._shelf = self._open_shelf()
            return self._shelf


class _Question:
    """What a thread is asked, and what it has found so far."""

    def __init__(self, batches: Sequence[Windows], versions: tuple[str, ...], deadline: float) -> None:
        self.batches = batches
        self.versions = versions
        self.told: dict[str, Told] = {}
        self._deadline = deadline

    def seconds_left(self) -> float:
        """Until its answer is of no use."""
        return self._deadline - time.monotonic()

    def version(self) -> str:
        """Whose turn it is: they are asked in their order."""
        return next((each for each in self.versions if each not in self.told), self.versions[-1])


class _Lane:
    """One thread that answers one question after the other, and another in its place when it does not come back."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = ThreadPoolExecutor(1, name)
        self._current: _Question | None = None
        self._begun: dict[_Question, float] = {}  # what is under way, also in threads that were given up

    def submit(self, answer: Callable[[_Question], None], question: _Question) -> Future[None]:
        """Has the question answered in the thread."""
        if self._current is not None and self._is_stuck(self._current):
            logger.error("model %s does not end: its thread is given up", self._current.version())
            self._thread.shutdown(wait=False)
            self._thread = ThreadPoolExecutor(1, self._name)
            self._current = None
        return self._thread.submit(self._run, answer, question)

    def hung(self) -> dict[str, str]:
        """The models that have not ended for a long time."""
        why = f"a computation of it has not ended for {STUCK_SECONDS:g} s"
        return {each.version(): why for each in tuple(self._begun) if self._is_stuck(each)}

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, answer: Callable[[_Question], None], question: _Question) -> None:
        if not question.versions:
            return
        self._begun[question] = time.monotonic()
        self._current = question
        try:
            answer(question)
        finally:
            del self._begun[question]
            if self._current is question:  # else it comes back to a thread that was given up
                self._current = None

    def _is_stuck(self, question: _Question) -> bool:
        begun = self._begun.get(question)
        return begun is not None and time.monotonic() - begun > STUCK_SECONDS
