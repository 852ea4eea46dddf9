"""Live facts of the whole market: its size and Bitcoin's share, how many coins rise, and how the crowd feels.

CoinGecko gives the capitalisation, the dominance and the coins' changes, alternative.me the Fear & Greed index. They
are asked in the background, so no analysis ever waits: a question is answered with what was known at its instant. After
a question the facts are kept fresh for an hour, then nobody is asked until the next one. What fails is asked again
after a wait that doubles and is drawn by chance. The others go on without it: once its facts are an hour older than
theirs they are NaN.

Two calls to CoinGecko every ten minutes are 9,216 in 32 days, where the free key allows 10,000 a month; a smaller
budget makes the ten minutes longer. Requests are counted before they are sent, in a file that outlives the process
together with the facts and the waits: whatever restarts, no month takes more than the budget.

Both ask for attribution wherever their facts are shown: "Data provided by CoinGecko" (https://www.coingecko.com) and
"Fear & Greed index by alternative.me" (https://alternative.me/crypto/fear-and-greed-index/).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from core.adapters.coingecko.answers import ALTERNATIVE, COINGECKO, SOURCES, Source
from core.adapters.coingecko.memory import BUDGET_DAYS, ContextMemory, Fetch
from core.adapters.exchange_answer import Body, Trouble
from core.adapters.exchange_http import Pace, PoliteClient, Surroundings
from core.context import Facts
from core.errors import Code, CrpbotError

logger = logging.getLogger(__name__)

COINGECKO_URL: Final = "https://api.coingecko.com/api/v3"
FEAR_GREED_URL: Final = "https://api.alternative.me"
FREE_CREDITS: Final = 10_000  # a month, with the free key; with fewer than 2,000 the facts would lie an hour apart

WANTED_SECONDS: Final = 3_600.0  # after a question the facts are kept fresh for so long
TOGETHER_MS: Final = 3_600_000  # facts further apart than this are not of one time
MOST_AGE_MS: Final = 86_400_000  # changes over 24 hours say nothing of a later day
FIRST_WAIT_SECONDS: Final = 60.0  # CoinGecko counts requests by the minute
LONGEST_WAIT_SECONDS: Final = 3_600.0
KEEPER: Final = "market facts"  # the background task
BODY_BYTES: Final = 200_000  # forty times the largest answer that was seen


@dataclass(slots=True)
class Standing:
    """How it goes with one source."""

    due: float  # on the monotonic clock
    failures: int = 0
    trouble: str = ""  # what was told last, so that each trouble is told once


class CoinGecko:
    """The facts, kept fresh while somebody asks. Belongs to one event loop, and the file belongs to it alone."""

    def __init__(
        self,
        file: Path,
        *,
        api_key: str | None = None,
        base_url: str = COINGECKO_URL,
        fear_greed_url: str = FEAR_GREED_URL,
        monthly_credits: int = FREE_CREDITS,
        patience_seconds: float = 10.0,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._world = surroundings or Surroundings()
        self._patience_seconds = patience_seconds
        pace = Pace(
            requests_per_second=2,
            attempts=1,
            attempt_seconds=patience_seconds,
            longest_hold_seconds=LONGEST_WAIT_SECONDS,
            body_bytes=BODY_BYTES,
        )
        headers = key_headers(api_key, base_url) if api_key else None
        self._clients = {
            COINGECKO: PoliteClient(COINGECKO, base_url, pace=pace, surroundings=self._world, key_headers=headers),
            ALTERNATIVE: PoliteClient(ALTERNATIVE, fear_greed_url, pace=pace, surroundings=self._world),
        }
        self._monthly_credits = monthly_credits
        costly = sum(source.site == COINGECKO for source in SOURCES)
        self._least_period_seconds = costly * BUDGET_DAYS * 86_400.0 / monthly_credits
        self._budget_is_spent = False
        self._memory = ContextMemory(file, {source.name: source.facts for source in SOURCES})
        self._standings = {source.name: Standing(self._first_due(source)) for source in SOURCES}
        self._wanted_until = -math.inf
        self._keeper: asyncio.Task[None] | None = None

    async def latest(self, *, as_of_ms: int) -> Facts | None:
        """The newest facts that were known at an instant. Never waits, never fails; a question keeps them fresh."""
        self.wake()
        known = {source.name: self._memory.known(source.name, as_of_ms) for source in SOURCES}
        newest = max((fetch.at_ms for fetch in known.values() if fetch), default=None)
        if newest is None or as_of_ms - newest > MOST_AGE_MS:
            return None
        used = {name: fetch for name, fetch in known.items() if fetch and newest - fetch.at_ms <= TOGETHER_MS}
        unknown = {source.name: (math.nan,) * source.facts for source in SOURCES}
        facts = unknown | {name: fetch.values for name, fetch in used.items()}
        (cap_change, dominance), (breadth,), (fear_greed,) = facts["global"], facts["coins"], facts["fear_greed"]
        return Facts(cap_change, dominance, breadth, fear_greed, min(fetch.at_ms for fetch in used.values()))

    def wake(self) -> None:
        """Keeps the facts fresh for the next hour; done at the server's start, it gives the first question some."""
        self._wanted_until = self._world.monotonic() + WANTED_SECONDS
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep_fresh(), name=KEEPER)

    async def close(self) -> None:
        """Stops asking and lets go of the connections."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for client in self._clients.values():
            await client.close()

    async def _keep_fresh(self) -> None:
        while (now := self._world.monotonic()) < self._wanted_until:
            due = [source for source in SOURCES if self._standings[source.name].due <= now]
            if due:
                await self._refresh(due)
            else:
                soonest = min(standing.due for standing in self._standings.values())
                await self._world.sleep(min(soonest, self._wanted_until) - now)

    async def _refresh(self, due: Sequence[Source]) -> None:
        """Asks the sources that are due, after putting on record that it does."""
        now_ms = self._world.now_ms()
        asked = self._affordable(due, now_ms)
        self._memory.spend(sum(source.site == COINGECKO for source in asked), now_ms)
        for source in asked:
            self._postpone(source, FIRST_WAIT_SECONDS)  # holds if the process ends before the answer
        await self._memory.save()
        await asyncio.gather(*(self._ask(source) for source in asked))
        await self._memory.save()

    def _affordable(self, due: Sequence[Source], now_ms: int) -> list[Source]:
        """The sources that the month's credits allow to be asked; the others wait."""
        costly = [source for source in due if source.site == COINGECKO]
        spent = self._memory.spent(now_ms)
        enough = spent + len(costly) <= self._monthly_credits
        if costly and not enough:
            for source in costly:
                self._postpone(source, LONGEST_WAIT_SECONDS)
            if not self._budget_is_spent:
                logger.warning(
                    "%s: %d of %d credits were used in %d days: it is asked again when the first of them are past",
                    COINGECKO,
                    spent,
                    self._monthly_credits,
                    BUDGET_DAYS,
                )
        if costly:
            self._budget_is_spent = not enough
        return [source for source in due if enough or source.site != COINGECKO]

    async def _ask(self, source: Source) -> None:
        standing = self._standings[source.name]
        deadline = self._world.monotonic() + self._patience_seconds
        try:
            body = await self._clients[source.site].get(
                source.path, source.query, deadline=deadline, subject=source.subject
            )
            at_ms = self._world.now_ms()
            values = _read(source, body, at_ms)
        except CrpbotError as error:
            standing.failures += 1
            wait = self._wait(error, standing.failures)
            self._postpone(source, wait)
            if standing.trouble != error.reason:
                logger.warning("%s; without it for now, it is asked again in %.0f s", error.detail, wait)
            standing.trouble = error.reason
            return
        if standing.trouble:
            logger.info("%s: %s: known again", source.site, source.subject)
        standing.failures, standing.trouble = 0, ""
        self._memory.keep(source.name, Fetch(at_ms, values))
        period = source.period_seconds
        self._postpone(source, max(period, self._least_period_seconds) if source.site == COINGECKO else period)

    def _wait(self, error: CrpbotError, failures: int) -> float:
        """Seconds until a source that failed is asked again; the longest where asking again does not help."""
        if error.code is not Code.UNAVAILABLE:
            return LONGEST_WAIT_SECONDS
        base = FIRST_WAIT_SECONDS * 2.0 ** min(failures - 1, 10)
        return min(max(base + self._world.jitter(base), error.retry_after_seconds or 0.0), LONGEST_WAIT_SECONDS)

    def _postpone(self, source: Source, seconds: float) -> None:
        self._standings[source.name].due = self._world.monotonic() + seconds
        self._memory.set_due(source.name, self._world.now_ms() + round(1_000 * seconds))

    def _first_due(self, source: Source) -> float:
        """What was left of the wait when the process before this one ended; a clock that jumped makes it no longer."""
        left = (self._memory.due(source.name) - self._world.now_ms()) / 1_000
        return self._world.monotonic() + min(max(left, 0.0), LONGEST_WAIT_SECONDS)


def key_headers(api_key: str, base_url: str) -> dict[str, str]:
    """The header that carries the key: a paid plan has a host and a header of its own."""
    if not (api_key.isascii() and api_key.isprintable()):
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"{COINGECKO}: the API key has characters that no key has; set COINGECKO_API_KEY again, or unset it",
            reason="BROKEN_API_KEY",
        )
    is_paid = httpx.URL(base_url).host.startswith("pro-")
    return {"x-cg-pro-api-key" if is_paid else "x-cg-demo-api-key": api_key}


def _read(source: Source, body: Body, at_ms: int) -> tuple[float, ...]:
    try:
        return source.read(body, at_ms / 1_000)
    except Trouble as trouble:
        raise trouble.as_error(source.site, source.subject) from None
