"""Whether the gateway can do its work now, and what is in the way when it cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0

Check = Callable[[], Awaitable[str | None]]
"""Gives None when all is well, else a sentence that says what is wrong."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing the gateway needs, and what is wrong with it (None: nothing).

    A `note` tells what should be mended and keeps nobody from being answered: it does not count.
    """

    name: str
    problem: str | None
    note: Annotated[str | None, Field(exclude_if=lambda note: note is None)] = None


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of /health/ready. `mode` is what follows from a signal: dryrun, or live."""

    ready: bool
    mode: str
    conditions: tuple[Condition, ...]


class Readiness:
    """Asks every part the gateway depends on. Draining makes it not ready at once.

    `notes` are asked like `checks`, and what they find is told without making it unready.
    """

    def __init__(
        self, checks: Mapping[str, Check], *, notes: Mapping[str, Check] | None = None, mode: str = "dryrun"
    ) -> None:
        self._checks = checks
        self._notes = notes or {}
        self._mode = mode
        self.draining = False

    async def check(self) -> Health:
        """Every condition, asked now."""
        problems, notes = await asyncio.gather(_ask_all(self._checks), _ask_all(self._notes))
        conditions = [Condition(name, problem) for name, problem in problems.items()]
        conditions += [Condition(name, None, note) for name, note in notes.items()]
        if self.draining:
            conditions.append(Condition("gateway", "is stopping and takes no new work"))
        is_ready = all(condition.problem is None for condition in conditions)
        return Health(is_ready, self._mode, tuple(conditions))


async def _ask_all(checks: Mapping[str, Check]) -> dict[str, str | None]:
    answers = await asyncio.gather(*(_ask(name, check) for name, check in checks.items()))
    return dict(zip(checks, answers, strict=True))


async def _ask(name: str, check: Check) -> str | None:
    """A check that raises makes us not ready like one that finds a problem; gRPC health must never stand still."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"the check did not end within {CHECK_SECONDS:g} s"
    except Exception as error:  # whatever it is, it is in the log, and the gateway is not ready
        logger.exception("the check of %s failed", name)
        return f"the check itself failed with {type(error).__name__}; the log has the trace"
