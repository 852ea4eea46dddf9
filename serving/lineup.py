"""Keeps the models that speak in step with the store: a promotion reaches a running server within its next look.

    store --(each second, in a thread)--> wish --(replicas load and try)--> problems --(one assignment)--> lineup

A bucket is looked at every 30 seconds. The lineup that questions read is never half changed, and never names a model
that no replica has tried. While anything is out of order (the folder unreadable, a file bad, Ray away, a replica
silent) the models that speak now speak on; the gateway's event loop waits for none of it. Who gave no answer is asked
again within seconds. A file that was found bad stays so until somebody mends it: it is tried again as seldom as a good
one, and at once when the store names another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NoReturn, Protocol

from core.ensemble import Line
from core.errors import CrpbotError
from core.forecasts.lineup import Lineup
from core.forecasts.seating import Tried, Wish, decide_now, dismiss, fill
from core.models.store import Entry, Slot
from core.models.weighting import USUAL, Weights

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
PREPARE_SECONDS: Final = 40.0  # whoever prepares has limits of his own; this one holds whatever he does
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 5.0  # a promotion is taken up within seconds of the replicas' answer
CHECK_SECONDS: Final = 30.0  # replicas that started meanwhile load ahead of the first question
PATIENCE_SECONDS: Final = 10.0  # for the store: on a disk or a network that hangs, readiness says so
SPEAK_ON: Final = "the models that speak now speak on"

Prepare = Callable[[Sequence[str]], Awaitable[Tried]]
"""Has every replica load and try these versions, and let go of others. Raises where nothing of it can be known."""


class Models(Protocol):
    """What is watched; any call may block."""

    def promoted(self) -> dict[Slot, Entry]:
        """The models that decide."""
        ...

    def candidates(self) -> dict[Slot, Entry]:
        """The models on trial."""
        ...


class Lines(Protocol):
    """Who knows what a mean of models is worth; may block."""

    def lines(
        self, promoted: Mapping[Slot, Entry], weights: Weights
    ) -> tuple[dict[str, tuple[Line, ...]], tuple[str, ...]]:
        """The lines of each symbol for just these models, and what is wrong with any."""
        ...


class LineupWatcher:
    """Runs beside the gateway for its whole life. Reads, prepares and switches; see the module."""

    def __init__(
        self,
        models: Models,
        lines: Lines,
        prepare: Prepare,
        *,
        weights: Weights = USUAL,
        poll_seconds: float = POLL_SECONDS,
        place: str = "model folder",
    ) -> None:
        self._models = models
        self._lines = lines
        self._prepare = prepare
        self._poll_seconds = poll_seconds
        self._place = place  # in words
        self._seated = Lineup(weights=weights)
        self._lineup = self._seated
        self._changing = asyncio.Lock()  # whoever changes the lineup reads lines for it meanwhile
        self._key: object = None
        self._task: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._again_at = 0.0
        self._pause = FIRST_PAUSE_SECONDS
        self._reading_since: dict[str, float] = {}  # what is being read from the folder just now
        self._watching = False
        self._has_asked = False  # so that replicas may hold models
        self._obstacles: dict[str, str] = {}  # what keeps us from knowing, by where it stands

    def lineup(self) -> Lineup:
        """The models that speak now."""
        return self._lineup

    async def problem(self) -> str | None:
        """What is wrong with the models, for readiness to tell."""
        faults = [*self._lineup.faults, *self._obstacles.values()]
        if not self._watching:
            faults.append(f"nobody watches the {self._place}; {SPEAK_ON}; restart the server")
        if self._reading_since:
            waited = asyncio.get_running_loop().time() - min(self._reading_since.values())
            if waited > PATIENCE_SECONDS:
                faults.append(f"the {self._place} has not answered for {waited:.0f} s; {SPEAK_ON}")
        return "; ".join(faults) or None

    async def run(self) -> NoReturn:
        """Watches for ever; what goes wrong in one look is told, and the next one follows."""
        self._watching = True
        try:
            while True:
                try:
                    await self.look()
                    self._obstacles.pop("watch", None)
                except Exception as error:
                    if "watch" not in self._obstacles:
                        logger.exception("a look at the models failed")
                    self._obstacles["watch"] = f"a look at the models failed ({type(error).__name__}); {SPEAK_ON}"
                await self._rest()
        finally:
            self._watching = False
            await self._stop_preparing()

    async def look(self) -> None:
        """One look at the store. What it asks for is prepared beside it, so that a demotion never waits.

        Whom the store took out of service is gone before anything else is read. Lines that hang keep no look waiting.
        """
        wish = await self._read_wish()
        if wish is None:
            return
        is_new = wish.key != self._key
        seated = dismiss(self._seated, wish)
        if seated is not self._seated:
            self._seat(seated, lines=self._lines_of(seated), faults=())
        if is_new:
            self._key = wish.key
            self._pause, self._again_at = FIRST_PAUSE_SECONDS, 0.0
            await self._stop_preparing()
        if not self._changing.locked():  # whoever changes the lineup now reads its lines anyway
            self._refreshing = asyncio.create_task(self._refresh(wish))
            done, _ = await asyncio.wait({self._refreshing}, timeout=min(self._poll_seconds, POLL_SECONDS))
            for task in done:
                task.result()
        if is_new or (self._task is None and asyncio.get_running_loop().time() >= self._again_at):
            self._task = asyncio.create_task(self._take_up(wish))

    async def _rest(self) -> None:
        """Until the next look is due; where replicas failed, that is when they are to be asked again."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._poll_seconds
        if self._task is not None:  # whether it fails decides how long we rest
            await asyncio.wait({self._task}, timeout=self._poll_seconds)
        has_failed = self._task is None and self._pause > FIRST_PAUSE_SECONDS
        if has_failed and not self._obstacles.keys() & {"store", "watch"}:
            due = min(due, max(self._again_at, loop.time() + FIRST_PAUSE_SECONDS))
        await asyncio.sleep(max(0.0, due - loop.time()))

    async def _read_wish(self) -> Wish | None:
        """What the store wants now; None where it cannot be read."""
        self._reading_since["store"] = asyncio.get_running_loop().time()
        try:
            wish = await asyncio.to_thread(lambda: Wish(self._models.promoted(), self._models.candidates()))
        except Exception as error:  # whatever a disk or a file does to us: the watch goes on
            known = isinstance(error, CrpbotError)
            if not known and "store" not in self._obstacles:
                logger.exception("the models cannot be looked at")
            what = str(error) if known else f"the models cannot be read ({type(error).__name__})"
            self._obstacles["store"] = f"{what}; {SPEAK_ON}"
            return None
        finally:
            del self._reading_since["store"]
        self._obstacles.pop("store", None)
        return wish

    async def _refresh(self, wish: Wish) -> None:
        async with self._changing:
            await self._switch(dismiss(self._seated, wish))

    async def _take_up(self, wish: Wish) -> None:
        """Has the models loaded and puts them in their seats; when that cannot be known, all stays as it is."""
        try:
            tried = await self._ask_replicas(wish.versions)
            async with self._changing:
                await self._switch(fill(self._seated, wish, tried.problems))
        except Exception as error:  # noqa: BLE001  # whatever Ray raises: nothing is switched, and it is tried again
            words = f"{_words(error)}; {SPEAK_ON}"
            if self._obstacles.get("replicas") != words:
                logger.warning("models are not taken up: %s", words)
            self._obstacles["replicas"] = words
            self._put_off(fine=False)
        else:
            self._obstacles.pop("replicas", None)
            self._put_off(fine=not tried.unknown)

    async def _ask_replicas(self, versions: Sequence[str]) -> Tried:
        """The versions of now are named too: questions that began with them are still under way."""
        wanted = tuple(dict.fromkeys((*versions, *self._seated.versions)))
        if not wanted and not self._has_asked:
            return Tried({})
        self._has_asked = True
        async with asyncio.timeout(PREPARE_SECONDS):
            return await self._prepare(wanted)

    def _put_off(self, *, fine: bool) -> None:
        """When the same is tried again: in the long run every half minute, sooner where somebody gave no answer."""
        self._task = None
        now = asyncio.get_running_loop().time()
        self._again_at = now + (CHECK_SECONDS if fine else self._pause)
        self._pause = FIRST_PAUSE_SECONDS if fine else min(2.0 * self._pause, LONGEST_PAUSE_SECONDS)

    async def _switch(self, seated: Lineup) -> None:
        """Reads the lines for those seats; then one assignment makes it the lineup.

        Lines that cannot be read leave those who decided before what they had, and others uncalibrated.
        """
        self._reading_since["lines"] = asyncio.get_running_loop().time()
        try:
            lines, faults = await asyncio.to_thread(self._lines.lines, decide_now(seated), seated.weights)
        except Exception as error:  # whatever a disk or a file does to us: who speaks does not depend on it
            lines = self._lines_of(seated)
            known = isinstance(error, CrpbotError)
            what = str(error) if known else f"the lines of calibration cannot be read ({type(error).__name__})"
            if not known and not any(what in fault for fault in self._lineup.faults):
                logger.exception("the lines of calibration cannot be read")
            faults = (f"{what}; {'the lines read before hold' if lines else 'what the models say is uncalibrated'}",)
        finally:
            del self._reading_since["lines"]
        self._seat(seated, lines=lines, faults=faults)

    def _lines_of(self, seated: Lineup) -> dict[str, tuple[Line, ...]]:
        """The lines that are known for those seats: lines hold for just the models they were fitted for."""
        return dict(self._lineup.lines) if decide_now(seated) == decide_now(self._lineup) else {}

    def _seat(self, seated: Lineup, *, lines: dict[str, tuple[Line, ...]], faults: tuple[str, ...]) -> None:
        """One assignment makes it the lineup; what changed is logged."""
        before = self._lineup
        self._seated = seated
        self._lineup = replace(seated, lines=MappingProxyType(lines), faults=(*seated.faults, *faults))
        if before.versions != self._lineup.versions:
            logger.info("the models that speak: %s", ", ".join(self._lineup.versions) or "none")
        for fault in self._lineup.faults:
            if fault not in before.faults:
                logger.warning("%s", fault)

    async def _stop_preparing(self) -> None:
        tasks = [task for task in (self._task, self._refreshing) if task is not None]
        self._task = self._refreshing = None
        for task in tasks:  # all of them before any is waited for: none may seat again whom the store took out
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"the replicas did not load the models within {PREPARE_SECONDS:g} s"
    if isinstance(error, CrpbotError):
        return error.detail
    return f"the replicas cannot be asked ({type(error).__name__}: {str(error)[:200]})"
