"""Make "70 % sure" come true seven times in ten: Platt's straight line through a model's log odds.

p = 1 / (1 + exp(-(slope z + intercept))) with z the model's log odds, fitted by maximum likelihood on a slice of
candles that the model neither learned nor is judged on. Two numbers are what a few hundred to a thousand points can
carry; a freer curve (isotonic) would learn their noise. The targets are drawn in a little, (hits + 1) / (hits + 2) for
an up and 1 / (misses + 2) for a down, so that a slice without a mistake does not make the model infinitely sure.

The slope is never below 0: a model that was wrong on the slice more often than right is calibrated to know nothing
(slope 0, the share of ups for every window), because to turn it upside down would be to learn from the slice.

Source: Platt 1999; the targets and the guarded Newton steps: Lin, Lin and Weng 2007, doi 10.1007/s10994-007-5018-6.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from core.errors import invalid
from core.market import Floats

FEWEST: Final = 100  # points; the slope's error is then about a fifth for log odds that spread by 1
STEPS: Final = 100  # Newton needs under ten; more is a defect of the numbers
SMALLEST: Final = 1e-9  # a probability nearer to 0 or 1 is one of a saturated network


class Platt(NamedTuple):
    """The line through the log odds."""

    slope: float
    intercept: float

    def apply(self, logits: Floats) -> Floats:
        """Log odds -> probabilities of up. Shape: (*) -> (*).

        >>> print(Platt(0.5, 0.0).apply(np.array([-2.0, 0.0, 2.0])).round(4))
        [0.2689 0.5    0.7311]
        """
        calibrated: Floats = expit(self.slope * np.asarray(logits, dtype=np.float64) + self.intercept)
        return calibrated


def log_odds(probability: Floats) -> Floats:
    """Probabilities -> log odds, for models that speak in probabilities. Shape: (*) -> (*)."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), SMALLEST, 1.0 - SMALLEST)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds


def fit_platt(logits: Floats, up: NDArray[np.bool_]) -> Platt:
    """The line that makes the outcomes of a slice likeliest. Shape: (N,), (N,)."""
    z = np.asarray(logits, dtype=np.float64)
    happened = np.asarray(up, dtype=bool)
    if z.shape != happened.shape or z.ndim != 1:
        raise invalid("logits", f"have shape {z.shape}, the outcomes {happened.shape}; one of each per window")
    hits = int(happened.sum())
    misses = len(z) - hits
    if len(z) < FEWEST or not hits or not misses:
        detail = f"{len(z)} points, {hits} of them up; at least {FEWEST} of both kinds are needed: take a longer slice"
        raise invalid("calibration slice", detail)
    if not np.isfinite(z).all():
        raise invalid("logits", f"row {int(np.flatnonzero(~np.isfinite(z))[0])} is no number: the model is broken")
    target = np.where(happened, (hits + 1.0) / (hits + 2.0), 1.0 / (misses + 2.0))
    level = float(log_odds(target.mean()))
    centre, spread = float(z.mean()), float(z.std())
    if spread < SMALLEST:
        return Platt(0.0, level)
    slope, intercept = _newton((z - centre) / spread, target, level)
    if slope <= 0.0:
        return Platt(0.0, level)
    return Platt(slope / spread, intercept - slope * centre / spread)


def _newton(z: Floats, target: Floats, level: float) -> tuple[float, float]:
    """Slope and intercept of least log loss, from slope 0 on; each step is halved until the loss falls."""
    slope, intercept = 0.0, level
    loss = _loss(z, target, slope, intercept)
    for _ in range(STEPS):
        probability = expit(slope * z + intercept)
        gap = probability - target
        weight = probability * (1.0 - probability) + SMALLEST
        gradient = np.array([gap @ z, gap.sum()])
        curvature = np.array([[weight @ (z * z), weight @ z], [weight @ z, weight.sum()]])
        step = np.linalg.solve(curvature, gradient)
        share = 1.0
        while (found := _loss(z, target, slope - share * step[0], intercept - share * step[1])) > loss and share > 1e-6:
            share /= 2.0
        if found >= loss:
            break
        slope, intercept = slope - share * float(step[0]), intercept - share * float(step[1])
        if loss - found < 1e-12 * len(z):
            break
        loss = found
    return slope, intercept


def _loss(z: Floats, target: Floats, slope: float, intercept: float) -> float:
    line = slope * z + intercept
    return float((np.logaddexp(0.0, line) - target * line).sum())
