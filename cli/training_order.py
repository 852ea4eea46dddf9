"""What every command of training begins with: the order, the check that torch is there, and how far the work is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from cli.data_commands import INTERRUPTED
from cli.progress import bar
from cli.train_commands import MODELS_FOLDER
from cli.training_candles import Place
from core.errors import Code, CrpbotError

if TYPE_CHECKING:
    from training.runs import Tell as TellProgress

RUNS: Final = "runs"  # where checkpoints and losses lie, below the folder of the models
RATES: Final = {"training": "windows", "walking": "windows", "playing": "candles"}  # what is counted a second


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
    preset: str = "fast"
    workers: int = 1
    address: str | None = None
    run: str | None = None
    models: Path = MODELS_FOLDER

    @property
    def place(self) -> Place:
        """Where its candles are."""
        return Place(self.folder, self.days, self.seed, edge=not self.noise)


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
