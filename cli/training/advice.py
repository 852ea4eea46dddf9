"""What to do after a verdict: the one command that follows from it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from cli.models.place import is_usual, runs_of
from cli.training.commands import MOST_DAYS
from cli.training.order import Named, Order
from core.files import Files
from core.models.judgement import Judgement, RuleName, Verdict
from core.models.manifest import Kind, Manifest
from core.models.store import EVERY_COIN, slot_of

ASKED: Final = "asked.json"  # beside the checkpoints of a run
OF_NETWORKS: Final = ("epochs", "stride", "hidden", "preset", "unidirectional", "batch", "learning_rate")
OF_WALKS: Final = (*OF_NETWORKS, "days")
OF_TRAININGS: Final = (*OF_NETWORKS, "steps")  # without the days: another number of them is what is advised
TWICE: Final = 2.0
SEED: Final = Order("").seed
ROOM: Final = 1.1  # more days than it takes by the mean: the first hours of the judged part look back over its border


def advise(judgement: Judgement, manifest: Manifest, models: Files, *, is_weaker: bool) -> str:
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
    asked = _asked(manifest, models, among=OF_WALKS)
    return complete(
        f"crpbot walk-forward --symbol {manifest.symbols[0]}{_files(manifest)}{_market(manifest)}{asked}", models
    )


def keep_asked(named: Mapping[str, Named], manifest: Manifest, models: Files) -> None:
    """What was asked for of a training, kept beside its run, so that what is advised later asks for the same."""
    path = runs_of(models) / manifest.run / ASKED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(named), encoding="utf-8")


def command_for(name: str, manifest: Manifest, models: Files) -> str:
    """A command on this model and its candles."""
    return complete(f"crpbot {name} --model {manifest.version}{_files(manifest)}", models)


def complete(command: str, models: Files) -> str:
    """The command as it must be typed where the models lie elsewhere than usual."""
    return command if is_usual(models) else f"{command} --models {models.url}"


def _longer(short: float, manifest: Manifest, models: Files) -> str:
    """What gives so many days that their judged part holds enough scores."""
    learned = manifest.spans.test.last - manifest.spans.train.first
    days = min(math.ceil(ROOM * short * learned / timedelta(days=1)), MOST_DAYS)
    if _files(manifest):
        start = manifest.spans.test.last - timedelta(days=days)
        series = f"--symbol {manifest.symbols[0]} --interval {manifest.interval}"
        return f"crpbot data fetch {series} --start {start:%Y-%m-%d}"
    coin = "all" if slot_of(manifest).subject == EVERY_COIN else manifest.symbols[0].partition("-")[0]
    asked = _asked(manifest, models)
    return complete(f"crpbot train {manifest.kind} --coin {coin} --days {days}{_market(manifest)}{asked}", models)


def _asked(manifest: Manifest, models: Files, *, among: Iterable[str] = OF_TRAININGS) -> str:
    """The settings of its training as options; none where its run is gone, since nobody knows them then."""
    try:
        named = json.loads((runs_of(models) / manifest.run / ASKED).read_text(encoding="utf-8"))
        found = {name: named[name] for name in among if name in named}
    except (OSError, ValueError, TypeError):
        return ""
    return "".join(
        f" --{name.replace('_', '-')}" + ("" if value is True else f" {shlex.quote(str(value))}")
        for name, value in found.items()
    )


def _market(manifest: Manifest) -> str:
    """The seed, and the market without an edge, where they are not the usual ones: else it would be another try."""
    seed = "" if manifest.seed == SEED else f" --seed {manifest.seed}"
    is_noise = not _files(manifest) and not manifest.origin.endswith("-edge")
    return f"{seed}{' --noise' if is_noise else ''}"


def _files(manifest: Manifest) -> str:
    """Candles of files are named; those of the synthetic market are made again."""
    return "" if manifest.origin.startswith("synthetic") else " --data FOLDER"
