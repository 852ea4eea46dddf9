"""The model that decides now, which every new one must beat: it is opened before a training, and asked after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cli.training.advice import complete
from cli.training.register import check_counted
from core.adapters.models.folder import ModelFolder
from core.errors import Code, CrpbotError
from core.files import Files
from core.market import interval_seconds, milliseconds
from core.models.manifest import Manifest
from core.models.store import Slot, demotion, slot_of

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.gate import Champion
    from training.scores import Scores


def check_judgeable(slots: Iterable[Slot], models: Files) -> None:
    """Refuse before a training what would stop the judgement after it."""
    check_counted(models)
    for slot in slots:
        open_champion(slot, models)


def open_champion(slot: Slot, models: Files) -> tuple[Manifest, Any] | None:  # Any: torch is not known here
    """The model that decides; one that cannot be opened blocks every other until it is demoted, so it is said early."""
    from core.models.weights import decode

    store = ModelFolder(models)
    entry = store.promoted().get(slot)
    if entry is None:
        return None
    try:
        manifest, blob = store.load(entry.read().version)
        return manifest, decode(manifest, blob)
    except CrpbotError as error:
        detail = f"{entry.file} decides and cannot be opened, so no other model can be compared with it"
        remedy = complete(demotion(slot), models)
        raise CrpbotError(
            Code.FAILED_PRECONDITION, f"{detail}: {error.detail}; first `{remedy}`", reason="CHAMPION_NOT_OPENED"
        ) from error


def ask_champion(manifest: Manifest, datasets: Sequence[Dataset], models: Files) -> Champion | None:
    """The model of the same market that decides now, and what it says of the same candles; None: it is this one.

    Of candles that it learned from it says nothing: there it would be judged by its memory.
    """
    from training.evaluate import rescale, score_part
    from training.gate import Champion

    found = open_champion(slot_of(manifest), models)
    if found is None or found[0].version == manifest.version or found[0].origin != manifest.origin:
        return None
    theirs, network = found
    known = [each for each in datasets if each.symbol in theirs.symbols]
    scores = [score_part(network, theirs, rescale(each, theirs), each.test) for each in known]
    return Champion(theirs.version, tuple(_untouched(each, theirs) for found in scores for each in found))


def _untouched(scores: Scores, manifest: Manifest) -> Scores:
    """The scores whose inputs, with all that they look back on, begin after the last candle that the model learned."""
    from training.scores import take
    from training.split import reach_of

    reach, step = reach_of(manifest.window, manifest.horizon), 1_000 * interval_seconds(manifest.interval)
    learned_until = milliseconds(manifest.learned_until) + reach.after * step  # its last label's candle
    return take(scores, np.flatnonzero(scores.open_times - reach.before * step > learned_until))
