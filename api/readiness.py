"""Whether the gateway can do its work now, and what is in the way when it cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

Check = Callable[[], Awaitable[str | None]]
"""Gives None when all is well, else a sentence that says what is wrong."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing the gateway needs, and what is wrong with it (None: nothing)."""

    name: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """The answer of /health/ready."""

    ready: bool
    conditions: tuple[Condition, ...]


class Readiness:
    """Asks every part the gateway depends on. Draining makes it not ready at once."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self.draining = False

    async def check(self) -> Health:
        """Every condition, asked now."""
        conditions = [Condition(name, await check()) for name, check in self._checks.items()]
        if self.draining:
            conditions.append(Condition("gateway", "is stopping and takes no new work"))
        return Health(all(condition.problem is None for condition in conditions), tuple(conditions))
