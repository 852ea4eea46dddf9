"""What a call to a language model costs, counted exactly in units of 1e-8 US dollars and always rounded up.

    cost = ceil((hit * p_hit + miss * p_miss + out * p_out) / 1,000,000)

with prices in units per million tokens, which are whole numbers for every price with up to eight decimals. Before a
call neither its tokens nor the hour in which it is billed are known, so the reservation takes the most that it can be:
no text has more tokens than UTF-8 bytes, none of them is in the server's cache, the reply is as long as it may be, and
the prices are those of the peak hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final

MILLION: Final = 1_000_000
FRAME_TOKENS: Final = 128  # what a server wraps around two messages; templates that were seen take under 30
MOST_TOKENS: Final = 2_000_000  # twice the longest context on offer; a usage beyond it is no usage


Span = tuple[datetime, datetime]  # when a call begins, and when it has ended at the latest


@dataclass(frozen=True, slots=True)
class Usage:
    """What the server counted. `prompt_tokens` include those from its cache, `completion_tokens` the reasoning."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices of one hour, in units of 1e-8 USD per million tokens."""

    hit: int
    miss: int
    out: int

    def cost(self, usage: Usage) -> int:
        """Units for one call.

        >>> Tariff(hit=600_000, miss=30_000_000, out=120_000_000).cost(Usage(450, 0, 125))
        28500
        """
        miss = usage.prompt_tokens - usage.cached_tokens
        return -(-(usage.cached_tokens * self.hit + miss * self.miss + usage.completion_tokens * self.out) // MILLION)

    def most(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Units for a call of at most so many tokens, whichever of them are cached."""
        return -(-(prompt_tokens * max(self.hit, self.miss) + completion_tokens * self.out) // MILLION)


@dataclass(frozen=True, slots=True)
class PeakHours:
    """Hours of the week (UTC) in which the peak tariff holds: from `begin` to before `end`. Monday is 0."""

    days: frozenset[int]
    begin: time
    end: time

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        utc = at.astimezone(UTC)
        return utc.weekday() in self.days and self.begin <= utc.time() < self.end


@dataclass(frozen=True, slots=True)
class Price:
    """The prices of one model since one instant."""

    model: str
    valid_from: datetime
    off_peak: Tariff
    peak: Tariff
    peak_hours: tuple[PeakHours, ...]
    source: str

    def tariff(self, at: datetime) -> Tariff:
        """The tariff at an instant. A public holiday counts as a working day, which is never too little."""
        return self.peak if any(hours.holds(at) for hours in self.peak_hours) else self.off_peak


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The prices of all models that are known."""

    prices: tuple[Price, ...]

    def at(self, model: str, instant: datetime) -> Price | None:
        """The newest price of the model at an instant; None where there is none yet."""
        valid = [each for each in self.prices if each.model == model and each.valid_from <= instant]
        return max(valid, key=lambda each: each.valid_from, default=None)

    def models(self) -> tuple[str, ...]:
        """Every model with a price, sorted."""
        return tuple(sorted({each.model for each in self.prices}))

    def reserve(self, texts: Iterable[str], max_tokens: int, *, model: str, span: Span) -> int | None:
        """The most that a call begun and ended within the span can cost; None where the model has no price."""
        prices = [each for each in (self.at(model, instant) for instant in span) if each is not None]
        if not prices:
            return None
        longest = sum(len(text.encode(errors="replace")) for text in texts) + FRAME_TOKENS
        return max(tariff.most(longest, max_tokens) for each in prices for tariff in (each.peak, each.off_peak))

    def charge(self, usage: Usage, *, model: str, span: Span) -> int | None:
        """What a call within the span did cost. The server does not say which end of it counts: the dearer one."""
        costs = [each.tariff(at).cost(usage) for at in span if (each := self.at(model, at)) is not None]
        return max(costs, default=None)


def is_plausible(usage: Usage, *, has_text: bool) -> bool:
    """Whether a server's count can be believed. Nothing that was sent has no tokens, and nothing has 2^64."""
    counts = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens)
    in_range = all(0 <= count <= MOST_TOKENS for count in counts)
    whole = usage.cached_tokens <= usage.prompt_tokens and usage.reasoning_tokens <= usage.completion_tokens
    return in_range and whole and usage.prompt_tokens > 0 and (usage.completion_tokens > 0 or not has_text)
