"""The analysts as the desk sees them, answered by Ray Serve: deadlines, one retry, a breaker, and partial answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from core.analysis import Findings
from core.errors import CrpbotError
from core.market import Windows
from core.panel import absent, less_margin, merge, refuse_silence
from serving.coalesce import Coalescer
from serving.groups import Group
from serving.preparing import ATTEMPTS, RETRY_SECONDS, Preparer, is_our_own_cancellation
from serving.share import bring_together, share_out

logger = logging.getLogger(__name__)

BREAKER_FAILURES: Final = 5
BREAKER_SECONDS: Final = 2.0
FAIR_SECONDS: Final = 1.0  # a call that was given less and did not make it says nothing about the replica


class UnreachableError(Exception):
    """The group cannot be reached at present; the sentence says why."""


class GroupCaller:
    """One group of replicas. Its handle comes and goes with Ray; a breaker spares callers a hopeless wait."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.is_wanted = False  # whether anybody has asked it yet
        self._failures = 0
        self._handle: Any = None  # Any: Ray's handles are untyped
        self._closed_until = 0.0
        self._preparer = Preparer(group, lambda: self._handle)
        self._queue = Coalescer(self._send, calls=group.replicas * group.concurrency)
        self._trials = Coalescer(self._send_trial, calls=group.replicas)

    def attach(self, handle: Any) -> None:
        """A working handle: forget earlier failures."""
        self._handle = handle
        self._failures = 0
        self._closed_until = 0.0
        self._preparer.forget_failures()

    def detach(self) -> Any:
        """Ray is gone; calls fail at once until it is back. Gives the handle that was in use."""
        handle, self._handle = self._handle, None
        return handle

    @property
    def has_failed(self) -> bool:
        """Whether calls of late failed again and again."""
        return self._failures >= BREAKER_FAILURES

    @property
    def needs_attaching(self) -> bool:
        """Without a handle, or with one that has failed again and again."""
        return self._handle is None or self.has_failed or self._preparer.has_failed

    def problem(self) -> str | None:
        """What is wrong with this group, for readiness."""
        if self._handle is None:
            return "not attached to Ray Serve"
        if self._closed_until > asyncio.get_running_loop().time():
            return f"{self._failures} calls in a row failed"
        return None

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
    ) -> list[list[Findings]]:
        """The findings of this group. A large request is shared out, so that no replica is idle meanwhile.

        Models on trial have a queue of their own, and whatever becomes of them leaves the breaker as it is.
        """
        self.is_wanted = True
        if on_trial:
            return await self._ask(batches, theories, timeout_seconds, None, queue=self._trials)
        shares = share_out(batches, self.group.replicas)
        request = object() if len(shares) > 1 else None
        answers = await asyncio.gather(
            *(self._ask([piece.windows for piece in share], theories, timeout_seconds, request) for share in shares)
        )
        return bring_together(len(batches), shares, answers)

    async def prepare(self, versions: Sequence[str]) -> dict[str, str]:
        """Has every replica of a group of models open these versions; says why one cannot be used (empty: it can)."""
        self.is_wanted = True
        return await self._preparer.prepare(versions)

    async def _ask(
        self,
        batches: Sequence[Windows],
        theories: Sequence[str],
        timeout_seconds: float,
        request: object | None,
        *,
        queue: Coalescer | None = None,
    ) -> list[list[Findings]]:
        """The findings on these windows; what cannot be had in time is reported as missing."""
        problem = self.problem()
        if problem is not None:
            return _nothing(batches, theories, "unavailable", problem)
        try:
            return await (queue or self._queue).submit(batches, theories, timeout_seconds, request=request)
        except TimeoutError:
            detail = f"group {self.group.name} did not answer within {timeout_seconds:.3f} s"
            return _nothing(batches, theories, "deadline", detail)
        except CrpbotError as error:
            return _nothing(batches, theories, "overloaded", error.detail)
        except UnreachableError as error:
            return _nothing(batches, theories, "unavailable", str(error))

    async def _send(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float
    ) -> list[list[Findings]]:
        """One call, repeated when the replica died under it: analysis is pure, so a repetition is harmless."""
        from ray.exceptions import RayActorError

        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        for attempt in range(1, ATTEMPTS + 1):
            handle = self._handle
            if handle is None:
                raise UnreachableError("not attached to Ray Serve")
            try:
                async with asyncio.timeout_at(deadline):
                    left = less_margin(deadline - loop.time())
                    found: list[list[Findings]] = await handle.analyze.remote(batches, theories, left)
            except RayActorError as error:
                logger.warning("group %s, attempt %d: a replica died: %s", self.group.name, attempt, error)
                self._count_failure(handle)
                await asyncio.sleep(RETRY_SECONDS)
            except TimeoutError:
                if timeout_seconds >= FAIR_SECONDS:
                    self._count_failure(handle)
                raise
            except asyncio.CancelledError:
                if is_our_own_cancellation():
                    raise
                self._count_failure(handle)
                raise UnreachableError("Ray Serve dropped the call") from None
            except Exception as error:  # whatever Serve or its transport raises: this group is missing, others answer
                logger.warning("group %s: %s: %s", self.group.name, type(error).__name__, error)
                self._count_failure(handle)
                raise UnreachableError(f"Ray Serve answered {type(error).__name__}") from error
            else:
                self._failures = 0
                return found
        raise UnreachableError(f"{ATTEMPTS} replicas in a row died")

    async def _send_trial(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float
    ) -> list[list[Findings]]:
        """One call for models on trial, not repeated: who does not hear of a candidate misses nothing."""
        handle = self._handle
        if handle is None:
            raise UnreachableError("not attached to Ray Serve")
        try:
            async with asyncio.timeout(timeout_seconds):
                found: list[list[Findings]] = await handle.analyze.remote(
                    batches, theories, less_margin(timeout_seconds), True
                )
                return found
        except TimeoutError:
            raise
        except asyncio.CancelledError:
            if is_our_own_cancellation():
                raise
            raise UnreachableError("Ray Serve dropped the call") from None
        except Exception as error:  # whatever Serve or its transport raises
            raise UnreachableError(f"Ray Serve answered {type(error).__name__}") from error

    def _count_failure(self, handle: Any) -> None:
        """Failures of a handle that has been replaced meanwhile do not speak against the new one."""
        if handle is not self._handle:
            return
        self._failures += 1
        if self._failures >= BREAKER_FAILURES:
            self._closed_until = asyncio.get_running_loop().time() + BREAKER_SECONDS


class ServeAnalysts:
    """All groups, called at the same time; what one group lacks does not hold up the others."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.callers = tuple(GroupCaller(group) for group in groups)

    async def problem(self) -> str | None:
        """What keeps an analysis from being complete, for readiness."""
        problems = [f"{caller.group.name}: {text}" for caller in self.callers if (text := caller.problem())]
        return "; ".join(problems) or None

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], *, timeout_seconds: float
    ) -> list[list[Findings]]:
        wanted = [
            (caller, asked)
            for caller in self.callers
            if (asked := tuple(theory for theory in theories if theory.split("/")[0] in caller.group.theories))
        ]
        parts = await asyncio.gather(
            *(caller.analyze(batches, asked, less_margin(timeout_seconds)) for caller, asked in wanted)
        )
        merged = [
            [merge([part[index][row] for part in parts]) for row in range(len(batch))]
            for index, batch in enumerate(batches)
        ]
        refuse_silence(merged, timeout_seconds)
        return merged


def _nothing(batches: Sequence[Windows], theories: Sequence[str], reason: str, detail: str) -> list[list[Findings]]:
    return [[absent(theories, reason, detail)] * len(batch) for batch in batches]
