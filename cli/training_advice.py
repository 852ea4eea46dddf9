"""What to do after a verdict: the one command that follows from it."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Final

from cli.train_commands import MODELS_FOLDER, MOST_DAYS
from cli.training_order import Order
from core.models.judgement import Judgement, RuleName, Verdict
from core.models.manifest import Kind, Manifest
from core.models.store import EVERY_COIN, slot_of

TWICE: Final = 2.0
SEED: Final = Order("").seed
ROOM: Final = 1.1  # more days than it takes by the mean: the first hours of the judged part look back over its border


def advise(judgement: Judgement, manifest: Manifest, models: Path, *, is_weaker: bool) -> str:
    """The command that follows from the verdict."""
    if is_weaker:
        return command_for("evaluate", manifest, models)
    if judgement.verdict is Verdict.PASS:
        return complete(f"crpbot promote {manifest.version}", models)
    scored = [each for each in judgement.rulings if each.rule is RuleName.SCORED]
    short = max((each.limit / max(each.n, 1) for each in scored), default=1.0)
    if judgement.verdict is Verdict.INSUFFICIENT and short > 1.0:
        return _longer(short, manifest, models)
    if manifest.kind is not Kind.LSTM:  # only that one is walked through time
        return _longer(TWICE, manifest, models)
    return complete(f"crpbot walk-forward --symbol {manifest.symbols[0]}{_files(manifest)}{_market(manifest)}", models)


def command_for(name: str, manifest: Manifest, models: Path) -> str:
    """A command on this model and its candles."""
    return complete(f"crpbot {name} --model {manifest.version}{_files(manifest)}", models)


def complete(command: str, models: Path) -> str:
    """The command as it must be typed where the models lie in another folder than usual."""
    return command if models == MODELS_FOLDER else f"{command} --models {models}"


def _longer(short: float, manifest: Manifest, models: Path) -> str:
    """What gives so many days that their judged part holds enough scores."""
    learned = manifest.spans.test.last - manifest.spans.train.first
    days = min(math.ceil(ROOM * short * learned / timedelta(days=1)), MOST_DAYS)
    if _files(manifest):
        start = manifest.spans.test.last - timedelta(days=days)
        series = f"--symbol {manifest.symbols[0]} --interval {manifest.interval}"
        return f"crpbot data fetch {series} --start {start:%Y-%m-%d}"
    coin = "all" if slot_of(manifest).subject == EVERY_COIN else manifest.symbols[0].partition("-")[0]
    return complete(f"crpbot train {manifest.kind} --coin {coin} --days {days}{_market(manifest)}", models)


def _market(manifest: Manifest) -> str:
    """The seed, and the market without an edge, where they are not the usual ones: else it would be another try."""
    seed = "" if manifest.seed == SEED else f" --seed {manifest.seed}"
    is_noise = not _files(manifest) and not manifest.origin.endswith("-edge")
    return f"{seed}{' --noise' if is_noise else ''}"


def _files(manifest: Manifest) -> str:
    """Candles of files are named; those of the synthetic market are made again."""
    return "" if manifest.origin.startswith("synthetic") else " --data FOLDER"
