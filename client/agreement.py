"""Whether the server keeps to what its user expects: the limits are its own, a scheduler can only compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Json = dict[str, Any]  # Any: decoded JSON as the server sent it


@dataclass(frozen=True, slots=True)
class Expected:
    """What the user said; None: nothing was said, the server's own value is taken."""

    max_signals_per_hour: int | None = None
    daily_budget_usd: Decimal | None = None
    monthly_budget_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server says."""

    max_signals_per_hour: int
    daily_budget_usd: Decimal
    monthly_budget_usd: Decimal


def read_limits(risk: Json, spend: Json) -> Limits:
    """The limits in the answers to /v1/risk and /v1/spend."""
    hourly = next(int(window["limit"]) for window in risk["windows"] if window["rule"] == "signals_per_hour")
    return Limits(hourly, Decimal(spend["day_cap_usd"]), Decimal(spend["month_cap_usd"]))


def find_looser(expected: Expected, limits: Limits) -> tuple[str, ...]:
    """Where the server allows more than expected, each with its remedy. A server that allows less is safe."""
    found = []
    hourly = expected.max_signals_per_hour
    if hourly is not None and limits.max_signals_per_hour > hourly:
        found.append(
            f"the server gives up to {limits.max_signals_per_hour} signals an hour, you said at most {hourly}; "
            f"start it with MAX_SIGNALS_PER_HOUR={hourly}"
        )
    budgets = (
        ("day", expected.daily_budget_usd, limits.daily_budget_usd, "CRPBOT__LLM__DAILY_BUDGET_USD"),
        ("month", expected.monthly_budget_usd, limits.monthly_budget_usd, "CRPBOT__LLM__MONTHLY_BUDGET_USD"),
    )
    for span, said, cap, setting in budgets:
        if said is not None and cap > said:
            found.append(
                f"the server may spend {cap:f} USD a {span} on its language model, you said at most {said:f}; "
                f"start it with {setting}={said:f}"
            )
    return tuple(found)


def find_live(expected_mode: str, told: Iterable[str | None]) -> str | None:
    """Why to stop where a server or its signals are live and nobody expects that; None: all is as expected."""
    if expected_mode == "live" or "live" not in told:
        return None
    return "the server is live and you said dryrun; start it with RUNTIME_MODE=dryrun, or say --mode live twice"
