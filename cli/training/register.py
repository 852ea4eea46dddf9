"""What stands in the register of tries beside the models: each model that was judged, and each walk through time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cli.training.advice import command_for
from cli.training.terms import house_terms
from core.adapters.models.reports import MOST_REPORT_BYTES, REPORTS
from core.errors import Code, CrpbotError
from core.files import Files, is_away
from core.models.judgement import Judgement
from core.models.manifest import Kind, Manifest

if TYPE_CHECKING:
    from training.gate_terms import Terms
    from training.scores import Scores

WALK: Final = "walk-forward"


def settings_of(manifest: Manifest, scores: Sequence[Scores]) -> dict[str, str]:
    """What was tried with a model, in words."""
    shape = " ".join(f"{name}={value}" for name, value in manifest.architecture.items())
    facts = {"architecture": shape, "seed": manifest.seed, "window": manifest.window, "origin": manifest.origin}
    return {**_words(facts), "candles": manifest.data_hash, "said": _digest(scores)}


def check_counted(models: Files) -> None:
    """Refuse to count on where a report saw tries that the register no longer has: they would be forgotten."""
    from training.trial_register import REGISTER, TrialRegister

    saw: dict[str, str] = {}
    for name in models.stamps(f"{REPORTS}/"):
        if not name.endswith(".json"):
            continue
        try:
            saw[name] = json.loads(models.read(name, most=MOST_REPORT_BYTES))["register_head"]
        except (CrpbotError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, CrpbotError) and is_away(error):
                raise
            why = f"{models.url}/{name} cannot be read ({type(error).__name__})"
            raise _refused(f"{why}: restore it, or take it away") from None
    heads = TrialRegister(models).heads  # after the reports: another process may be judging
    for name, head in saw.items():
        if head not in heads:
            raise _refused(
                f"{models.url}/{name} was judged beside tries that {models.url}/{REGISTER} no longer has, so nobody "
                "knows how many; restore that file, or begin anew in another folder with --models"
            )


def check_judged(text: str, judgement: Judgement, manifest: Manifest, models: Files) -> None:
    """Refuse a report that the gate did not write, of another question than the house's, or from before other tries."""
    from training.trial_register import TrialRegister

    version, terms = manifest.version, house_terms()
    asked = (judgement.threshold, judgement.round_trip_fraction, judgement.stake_fraction)
    register = TrialRegister(models)
    tries = {each: register.tries(kind=manifest.kind, origin=manifest.origin, symbol=each) for each in manifest.symbols}
    count = sum(map(len, tries.values()))
    why = None
    if judgement.register_head not in register.heads or count != judgement.trials:
        why = f"was judged beside {judgement.trials} tries, now {count} are registered"
        why += ": the more was tried, the less the best one means"
    elif not all(any(each.settings.get("model") == version for each in found) for found in tries.values()):
        why = "stands in no line of the register of tries"
    elif not register.knows(version, text):
        why = "has a report that is not the one that the gate wrote"
    elif asked != (terms.threshold, terms.round_trip, terms.stake):
        why = f"was judged by other terms (threshold, costs, stake: {asked}) than the house's"
    if why is not None:
        raise _refused(f"{version} {why}; judge it again with `{command_for('evaluate', manifest, models)}`")


def register_walk(scores: Scores, folds: int, terms: Terms, *, models: Files, settings: Mapping[str, object]) -> None:
    """Counts a walk as a try of its kind, coin and market: whoever has seen its table chooses by it."""
    from training.gate import Candidate, record
    from training.trial_register import TrialRegister

    tried = {**_words(settings), "folds": str(folds), "said": _digest([scores])}
    for each in record(Candidate(WALK, Kind.LSTM, (scores,), tried), terms, at=datetime.now(UTC)):
        TrialRegister(models).register(each)


def _refused(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOT_JUDGED")


def _words(facts: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items()}


def _digest(scores: Sequence[Scores]) -> str:
    """Tells apart what other machines make of the same weights in the last bit."""
    return sha256(b"".join(each.probability.tobytes() for each in scores)).hexdigest()
