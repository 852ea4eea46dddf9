"""Has the replicas of a group open models, and finds out which of them a replica cannot survive.

A model's opening can end the process that opens it (memory, a fault in a library). The models that were opened before
must not go down with it again and again. So once a replica has died, the models known to work are opened first, then
the others one at a time; the one over which a replica dies once more is named, and left alone for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from core.errors import Code, CrpbotError
from serving.groups import Group

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 3  # a dead replica can be met again before the router has heard of it
RETRY_SECONDS: Final = 0.05
FAILURES: Final = 5  # in a row: the handle may be to blame
MEETINGS: Final = 8  # calls for each replica until all of several were met; chance leaves one out once in thousands
PEACE_SECONDS: Final = 600.0  # each attempt costs the models that work the seconds until there is a new replica
KILLED: Final = "the replica died while it was opened"


class _ReplicaDiedError(Exception):
    """A replica died over a call, which is not to be repeated as it was."""


class _Verdict(NamedTuple):
    """A version that killed a replica is left alone until then, or until other versions are named than these."""

    named: frozenset[str]
    until: float


class Preparer:
    """One group's models. `handle` gives the way to the replicas, None where there is none at present."""

    def __init__(self, group: Group, handle: Callable[[], Any]) -> None:  # Any: Ray's handles are untyped
        self._group = group
        self._handle = handle
        self._failures = 0
        self._holds_models = False
        self._sound: set[str] = set()
        self._suspects: set[str] = set()
        self._verdicts: dict[str, _Verdict] = {}

    @property
    def has_failed(self) -> bool:
        """Whether calls of late failed again and again for another reason than a death."""
        return self._failures >= FAILURES

    def forget_failures(self) -> None:
        """There is a new handle."""
        self._failures = 0

    async def prepare(self, versions: Sequence[str]) -> dict[str, str]:
        """Has every replica open these versions; says why one cannot be used (empty: it can).

        Serve sends a call where it likes, so it is repeated until as many processes have answered as there are
        replicas. One that is away meanwhile opens what it needs with its first question. Raises when nobody answers.
        """
        if not versions:
            if self._holds_models:
                with suppress(CrpbotError):  # it only lets go of what it holds
                    await self._call(versions)
            return {}
        self._holds_models = True
        now, named = asyncio.get_running_loop().time(), frozenset(versions)
        condemned = {
            version: KILLED
            for version, verdict in self._verdicts.items()
            if version in named and verdict.named == named and now < verdict.until
        }
        offered = [version for version in dict.fromkeys(versions) if version not in condemned]
        if not self._suspects.isdisjoint(offered):
            return condemned | await self._open_one_by_one(offered, named)
        try:
            return condemned | await self._open(offered, fragile=True)
        except _ReplicaDiedError:
            self._suspects.update(named - self._sound)
            return condemned | await self._open_one_by_one(offered, named)

    async def _open_one_by_one(self, versions: Sequence[str], named: frozenset[str]) -> dict[str, str]:
        """Each call names those that went well before: a replica keeps two lineups only, and may be a new one."""
        opened = [version for version in versions if version not in self._suspects]
        faults = await self._open(opened)
        for version in (each for each in versions if each not in opened):
            try:
                faults |= await self._open([*opened, version], fragile=True)
            except _ReplicaDiedError:
                logger.error("group %s: %s while %s was opened", self._group.name, KILLED, version)
                until = asyncio.get_running_loop().time() + PEACE_SECONDS
                self._verdicts[version] = _Verdict(named, until)
                faults[version] = KILLED
                await self._open(opened)
            else:
                opened.append(version)
                self._suspects.discard(version)
                self._verdicts.pop(version, None)
        return faults

    async def _open(self, versions: Sequence[str], *, fragile: bool = False) -> dict[str, str]:
        """All replicas open these. With `fragile` a death is raised, else the call is repeated."""
        faults = dict.fromkeys(versions, "")
        met: set[int] = set()
        for _ in range(1 if self._group.replicas == 1 else MEETINGS * self._group.replicas):
            pid, found = await self._call(versions, fragile=fragile)
            met.add(pid)
            faults |= {version: fault for version, fault in found.items() if fault}
            if len(met) == self._group.replicas:
                break
        self._sound.update(version for version, fault in faults.items() if not fault)
        return faults

    async def _call(self, versions: Sequence[str], *, fragile: bool = False) -> tuple[int, dict[str, str]]:
        """One replica's answer."""
        from ray.exceptions import RayActorError

        why = "it is not attached"
        for attempt in range(1, ATTEMPTS + 1):
            handle = self._handle()
            if handle is None:
                break
            try:
                pid, found = await handle.prepare.remote(versions)
            except asyncio.CancelledError:
                if is_our_own_cancellation():
                    raise
                why = "Ray Serve dropped the call"
                self._failures += 1
            except RayActorError as error:
                if fragile:
                    raise _ReplicaDiedError from error
                why = f"a replica died: {error}"
            except Exception as error:  # noqa: BLE001  # whatever Serve or its transport raises: who asked tries again
                why = f"{type(error).__name__}: {error}"
                self._failures += 1
            else:
                self._failures = 0
                return pid, found
            logger.warning("group %s, attempt %d to prepare models: %s", self._group.name, attempt, why)
            await asyncio.sleep(RETRY_SECONDS)
        detail = f"group {self._group.name} of the models does not answer on Ray Serve: {why[:200]}"
        raise CrpbotError(Code.UNAVAILABLE, detail, reason="MODELS_UNAVAILABLE", retry_after_seconds=2.0)


def is_our_own_cancellation() -> bool:
    """Whether the task that runs now was cancelled itself; else Ray Serve dropped its call."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
