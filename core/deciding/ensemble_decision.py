"""Decides by the models alone, the strategy V6: their chance of a rise within 15 minutes against the threshold.

One model that speaks is enough, because each has passed its gate alone. Where their mean has not been calibrated, its
confidence stays below the medium tier: nobody has measured what such a mean is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from core.analysis import Analysis
from core.deciding.confidence import FLOORS, Threshold
from core.deciding.decision import Decision
from core.deciding.lean import EVEN, Ground, Lean, Part, decide_lean, hold_unheard, share_pulls
from core.deciding.levels import Yardstick
from core.ensemble import Ensemble, Forecast, Member, Outlook, combine, leave_out, quantise
from core.models.ensemble_lines import calibration
from core.signal import Degradation, Strategy, Version, Vote
from core.trade import Tier

CEILING: Final = round(FLOORS[Tier.MEDIUM] - 0.0001, 4)
"""The highest confidence of a mean that was not calibrated: in the low tier, four digits below the medium one."""
NO_MODEL: Final = "no_model"
MODELS_SILENT: Final = "models_silent"
NAMES: Final = {"lstm": "LSTM", "transformer": "Transformer", "ppo": "PPO"}


@dataclass(frozen=True, slots=True)
class EnsembleCase:
    """All that a decision of the models follows from. `analysis` is the market without its theories."""

    analysis: Analysis
    outlook: Outlook
    threshold: Threshold
    yardstick: Yardstick


def without_theories(analysis: Analysis) -> Analysis:
    """The market of an analysis: where theories have no part in a decision, they are not kept with it."""
    return replace(analysis, readings=(), missing=())


def model_versions(outlook: Outlook) -> tuple[Version, ...]:
    """Which version of each model had a part."""
    return tuple(Version(each.kind, each.version) for each in outlook.forecasts if each.kind in outlook.speaking)


def decide_ensemble(case: EnsembleCase, *, without: str | None = None) -> Decision:
    """The decision of the models, or what it would be without one kind of them."""
    outlook = case.outlook if without is None else leave_out(case.outlook, without)
    ensemble = combine(outlook)
    ground = Ground(Strategy.V6, ensemble.coverage, _votes(outlook, ensemble), ensemble)
    if ensemble.probability is None or ensemble.raw is None:
        return hold_unheard(_doubt(outlook), ground, case.threshold)
    ceiling = 1.0 if ensemble.calibrated else CEILING
    lean = Lean(ensemble.probability, _tell_mean(case.analysis.symbol, ensemble), _tell_lean(ensemble), ceiling)
    return decide_lean(lean, ground, case.threshold, case.yardstick)


def _doubt(outlook: Outlook) -> Degradation:
    """Why no model was heard: none is promoted, or those that are do not speak."""
    if not outlook.is_staffed:
        return Degradation(NO_MODEL, "; ".join(each.problem or each.kind for each in outlook.forecasts))
    told = (f"{each.version} {_silence(each)}" for each in outlook.forecasts if each.version)
    return Degradation(MODELS_SILENT, "; ".join(told))


def _silence(forecast: Forecast) -> str:
    if forecast.problem is not None:
        return f"does not speak: {forecast.problem}"
    return "speaks, and has no weight"


def _votes(outlook: Outlook, ensemble: Ensemble) -> tuple[Vote, ...]:
    speaking = [each for each in ensemble.members if each.weight > 0.0]
    parts = [Part(each.probability, each.weight) for each in speaking if each.probability is not None]
    pulls = dict(zip((each.kind for each in speaking), share_pulls(parts), strict=True))
    return tuple(
        _vote(forecast, member, pulls.get(member.kind, 0.0))
        for forecast, member in zip(outlook.forecasts, ensemble.members, strict=True)
    )


def _vote(forecast: Forecast, member: Member, pull: float) -> Vote:
    """One model's line: its vote is twice its chance of a rise, less one."""
    if forecast.probability is None:
        return Vote(forecast.kind, 0.0, 0.0, "", forecast.problem or "it did not answer")
    own = "" if forecast.calibrated is None else f", {forecast.calibrated:.1%} by its own calibration"
    words = f"{forecast.version} says {forecast.probability:.1%} for a rise{own}; it counts {member.weight:.0%}."
    return Vote(forecast.kind, quantise(2.0 * forecast.probability - 1.0), pull, words)


def _tell_mean(symbol: str, ensemble: Ensemble) -> str:
    speaking = [each for each in ensemble.members if each.weight > 0.0]
    names = " + ".join(each.version for each in speaking)
    told = f"ensemble of {names}, {ensemble.coverage:.0%} of the weights: mean {ensemble.raw:.4f}"
    if ensemble.calibrated:
        return f"{told}, calibrated {ensemble.probability:.4f}"
    kinds = " + ".join(each.kind for each in speaking)
    remedy = f"; remedy: {calibration(symbol)}" if len(speaking) > 1 else ""
    return f"{told}, not calibrated (there is no line for {kinds}{remedy}), so its confidence is at most {CEILING}"


def _tell_lean(ensemble: Ensemble) -> str:
    chance = ensemble.probability
    assert chance is not None  # somebody spoke
    within = f"within {ensemble.horizon_minutes} minutes"
    if chance == EVEN:
        first = f"The models see a rise and a fall {within} as equally likely{_tell_calibration(ensemble)}."
    else:
        way = "rise" if chance > EVEN else "fall"
        first = f"{max(chance, 1.0 - chance):.0%} for a {way} {within}{_tell_calibration(ensemble)}."
    each_says = (
        f"{NAMES.get(member.kind, member.kind)} {member.probability:.0%} up"
        for member in ensemble.members
        if member.probability is not None and member.weight > 0.0
    )
    gone = [NAMES.get(each.kind, each.kind) for each in ensemble.members if each.weight == 0.0]
    silent = [f"Without {', '.join(gone)}."] if gone else []
    return " ".join([first, f"{', '.join(each_says)}.", *silent])


def _tell_calibration(ensemble: Ensemble) -> str:
    """What the mean was before its line, where that reads otherwise: the models' own numbers add up to that one."""
    chance, raw = ensemble.probability, ensemble.raw
    assert chance is not None  # somebody spoke
    assert raw is not None
    if chance < EVEN:
        chance, raw = 1.0 - chance, 1.0 - raw
    before = f"{raw:.0%}"
    if before == f"{chance:.0%}":
        return ""
    return f", calibrated from {before}{' for a rise' if chance == EVEN else ''}"
