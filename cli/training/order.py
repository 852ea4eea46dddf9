"""What every command of training begins with: the order, the check that torch is there, and how far the work is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from cli.data.commands import INTERRUPTED
from cli.models.place import MODELS_FOLDER, runs_of
from cli.progress import bar
from cli.training.candles import Place
from core.adapters.files.folder import FolderFiles
from core.errors import Code, CrpbotError
from core.files import Files
from core.models.manifest import Kind
from training.cluster.order import Recipe

if TYPE_CHECKING:
    from training.runs import Tell as TellProgress

RATES: Final = {"training": "windows", "walking": "windows", "playing": "candles"}  # what is counted a second
USUAL_EPOCHS: Final = {Kind.LSTM: 15, Kind.TRANSFORMER: 5}

Named = int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Order:
    """What to train, and how. None: what the job has by itself."""

    coin: str
    epochs: int = 15
    steps: int = 8_000_000
    folder: Path | None = None
    days: int | None = None
    seed: int = 7
    noise: bool = False
    stride: int | None = None
    hidden: int | None = None
    unidirectional: bool = False
    preset: str = "original"
    batch: int | None = None
    learning_rate: float | None = None
    workers: int = 1
    address: str | None = None
    run: str | None = None
    models: Files = field(default_factory=lambda: FolderFiles(MODELS_FOLDER))

    @property
    def runs(self) -> Path:
        """Where its checkpoints and losses lie."""
        return runs_of(self.models)

    @property
    def place(self) -> Place:
        """Where its candles are."""
        return Place(self.folder, self.days, self.seed, edge=not self.noise)

    @property
    def recipe(self) -> Recipe:
        """How a network is to learn."""
        return Recipe(
            epochs=self.epochs,
            seed=self.seed,
            steps=self.steps,
            preset=self.preset,
            stride=self.stride,
            hidden=self.hidden,
            unidirectional=self.unidirectional,
            batch=self.batch,
            learning_rate=self.learning_rate,
        )

    def named(self, kind: Kind) -> dict[str, Named]:
        """What was asked for of the training itself where it is not the usual; None and False: nothing was."""
        usual: dict[str, Named] = {
            "epochs": USUAL_EPOCHS.get(kind),
            "steps": Order("").steps,
            "preset": Order("").preset,
        }
        of_networks = ("epochs", "stride", "hidden", "unidirectional", "preset", "batch", "learning_rate")
        names = ("days", *(("steps",) if kind is Kind.PPO else of_networks))
        asked: dict[str, Named] = {name: getattr(self, name) for name in names}
        return {name: value for name, value in asked.items() if value not in {None, False, usual.get(name)}}


def check_torch() -> None:
    """Refuse at once, before any candle is read, where torch is not installed."""
    if find_spec("torch") is None:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "torch is not installed: models are not trained, judged or promoted without it; remedy: make torch",
            reason="NO_TORCH",
        )


@contextmanager
def told(what: str) -> Iterator[TellProgress]:
    """A bar, or lines in a log, that hears of a training's progress; with the rate and the time left."""
    from training.runs import Interrupted

    try:
        with bar(what, unit="steps") as tell:
            yield lambda each: tell(each.done, each.total, f"{each.words}, {each.rate:,.0f} {RATES[what]}/s")
    except Interrupted as stop:
        typer.secho(str(stop), fg="yellow", err=True)
        raise
    except KeyboardInterrupt:
        words = "stopped; the same command goes on from the last state that was saved"
        typer.secho(words, fg="yellow", err=True)
        sys.exit(INTERRUPTED)
