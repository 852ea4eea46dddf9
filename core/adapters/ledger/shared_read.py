"""Many who ask at once share one read, and none gets an answer that is older than its question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.risk.account import AccountFacts

Read = Callable[[str, int], Awaitable[AccountFacts]]


@dataclass(slots=True)
class _Round:
    """One read that has not begun: the widest window that anybody who waits for it asked for."""

    since_steady_ms: int
    answer: asyncio.Task[AccountFacts] | None = None


@dataclass(slots=True)
class SharedFacts:
    """Reads the facts of an account for everybody who asked before the read began.

    At most one read of an account runs, and those who come meanwhile share the next: sixteen callers cost two reads.
    """

    read: Read
    _next: dict[str, _Round] = field(default_factory=dict)
    _running: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def facts(self, account_id: str, since_steady_ms: int) -> AccountFacts:
        """The facts of a read that begins after this call, with at least the emissions later than the instant."""
        joined = self._next.get(account_id)
        if joined is None:
            joined = self._next[account_id] = _Round(since_steady_ms)
            joined.answer = asyncio.create_task(self._begin(account_id, joined))
            joined.answer.add_done_callback(_forget_failure)
        joined.since_steady_ms = min(joined.since_steady_ms, since_steady_ms)
        assert joined.answer is not None
        return await asyncio.shield(joined.answer)  # one caller who gives up does not end the read of the others

    async def _begin(self, account_id: str, mine: _Round) -> AccountFacts:
        running = self._running.setdefault(account_id, asyncio.Lock())
        try:
            async with running:
                del self._next[account_id]  # who asks from here on needs a later read
                return await self.read(account_id, mine.since_steady_ms)
        finally:
            if self._next.get(account_id) is mine:  # ended before it began
                del self._next[account_id]
            if account_id not in self._next and not running.locked():
                self._running.pop(account_id, None)  # ids that nobody has are not kept


def _forget_failure(answer: asyncio.Task[AccountFacts]) -> None:
    """Those who wait get the failure; when all have given up nobody is there to hear it."""
    if not answer.cancelled():
        answer.exception()
