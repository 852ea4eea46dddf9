"""Whether the best of many tries has any skill: a register of every try, and the Sharpe ratio deflated by their number.

Every threshold, prompt, weight and window that was tried stands in the register, also those that failed: the best of
a hundred coins looks like skill. `deflate` asks how sure the observed ratio lies above the best that luck gives them.

Source: Bailey and Lopez de Prado 2012, doi 10.21314/JOR.2012.255, and 2014, doi 10.3905/jpm.2014.40.5.094.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

import numpy as np

from core.analyzers.risk_metrics import deflated_sharpe, probabilistic_sharpe
from core.errors import Code, CrpbotError, invalid
from core.kernels.risk import moments
from core.market import Floats
from core.performance.measure import LARGEST_ORDER, MIN_DAYS, ROUNDING
from core.risk.booking import check_word
from core.trade import STRICT

SURE: Final = 0.95  # from here on a deflated ratio counts as skill


@dataclass(frozen=True, slots=True)
class Trial:
    """One try: its name, when it was made, and the daily Sharpe ratio that it reached over so many days."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    at: datetime
    daily_sharpe: float
    days: int

    def __post_init__(self) -> None:
        check_word("trial.name", self.name)
        if not np.isfinite(self.daily_sharpe) or self.days < 2:
            raise invalid("trial", f"{self.name!r} has the ratio {self.daily_sharpe} over {self.days} days")


@dataclass(frozen=True, slots=True)
class Deflated:
    """How sure it is that the daily Sharpe ratio is above 0, and above the best that luck gives so many trials."""

    __pydantic_config__: ClassVar = STRICT
    daily_sharpe: float
    probabilistic: float
    deflated: float
    luck: float  # the daily ratio expected of the best of the trials without skill
    trials: int
    days: int

    @property
    def is_skill(self) -> bool:
        """Whether luck is excluded with 95 %."""
        return self.deflated >= SURE


def register(trials: Sequence[Trial], trial: Trial) -> tuple[Trial, ...]:
    """The register with one trial more. Told again in the same words it is the same one; nothing is ever replaced."""
    for known in trials:
        if known.name == trial.name:
            if known == trial:
                return tuple(trials)
            detail = f"trial: {trial.name!r} is registered with {known.daily_sharpe} since {known.at.isoformat()}"
            raise CrpbotError(Code.ALREADY_EXISTS, f"{detail}; another try needs another name", reason="TRIAL_EXISTS")
    return (*trials, trial)


def try_of(name: str, at: datetime, returns: Floats) -> Trial:
    """The trial that daily returns make."""
    found = _shape(returns)
    if found is None:
        raise invalid("returns", f"{len(returns)} days that differ are needed, at least {MIN_DAYS}")
    return Trial(name, at, found[0], len(returns))


def deflate(returns: Floats, trials: Sequence[Trial], *, least_variance: float = 0.0) -> Deflated | None:
    """How sure the skill behind daily returns is after so many trials (the one that is judged among them).

    Autocorrelation is corrected as in `sharpe`. None below MIN_DAYS days or without any move. With one trial, or none,
    nothing is deflated. `least_variance` is what the trials' ratios vary by at least: idle ones have the ratio 0 and
    would make the sample narrower than luck is.
    """
    found = _shape(returns)
    if found is None:
        return None
    sharpe, skewness, kurtosis = found
    ratios = np.array([trial.daily_sharpe for trial in trials])
    variance = max(float(ratios.var(ddof=1)), least_variance) if len(ratios) > 1 else 0.0
    count = max(len(trials), 1)
    size = len(returns)
    sure = probabilistic_sharpe(sharpe, size=size, skewness=skewness, kurtosis=kurtosis)
    deflated, luck = deflated_sharpe(
        sharpe, trials=count, variance=variance, size=size, skewness=skewness, kurtosis=kurtosis
    )
    return Deflated(sharpe, sure, deflated, luck, count, size)


def _shape(returns: Floats) -> tuple[float, float, float] | None:
    """Corrected daily ratio, skewness and kurtosis."""
    if len(returns) < MIN_DAYS:
        return None
    mean, deviation, skewness, kurtosis, _, echo = moments(
        np.ascontiguousarray(returns[None, :]), ROUNDING, LARGEST_ORDER
    )[:, 0]
    if np.isnan(deviation):
        return None
    return float(mean / deviation / np.sqrt(echo)), float(skewness), float(kurtosis)
