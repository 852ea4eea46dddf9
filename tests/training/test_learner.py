"""A training goes on on other hardware than it began on, in the numbers that are best there, and says so."""

import logging
from pathlib import Path

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.training.made_up import make_dataset
from training import learner
from training.feed import Feed
from training.learner import Learner
from training.lstm import Config
from training.precision import Numbers, Precision
from training.report import tell_precision
from training.report_pictures import Epoch
from training.runs import Here, Interrupted, Job

DATASET = make_dataset(size=2_000)
QUICK = Config(epochs=2, learning_rate=1e-2, stride=1, level_noise=0.0, save_every=20)
STEPS = 43  # of an epoch


class Stopping(Here):
    """A place that asks the work to end after so many steps."""

    def __init__(self, job: Job, steps: int) -> None:
        super().__init__(job, torch.device("cpu"))
        self.left = steps

    def is_stopping(self) -> bool:
        self.left -= 1
        return self.left == 0


class Last(torch.nn.Module):
    """A line through the inputs of the last candle."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(DATASET.features.shape[1], 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.line(windows[:, -1]).squeeze(-1)


def learn(folder: Path, numbers: Numbers, monkeypatch: pytest.MonkeyPatch, *, steps: int = 0) -> list[dict]:
    """What the epochs say of themselves on hardware that is best at these numbers; after so many steps it stops."""
    monkeypatch.setattr(learner, "choose", lambda *_: Precision("cpu", numbers))
    place = Stopping(Job("run", "tests", folder), steps)
    torch.manual_seed(0)
    network = Last()
    one = Learner(
        network,
        torch.optim.Adam(network.parameters(), lr=QUICK.learning_rate),
        QUICK,
        rate=lambda _: QUICK.learning_rate,
        loss=binary_cross_entropy_with_logits,
        feed=Feed(DATASET, DATASET.up, QUICK, place),
        place=place,
    )
    try:
        for _ in one.epochs():
            for batch in one.batches():
                one.step(batch)
            one.close(DATASET.stop.rows)
    except Interrupted:
        assert steps
    state = place.restore()
    assert state is not None
    return state["history"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Numbers.BFLOAT16, Numbers.FLOAT16),
        (Numbers.FLOAT32, Numbers.FLOAT16),
        (Numbers.FLOAT16, Numbers.BFLOAT16),
        (Numbers.FLOAT16, Numbers.FLOAT16),
    ],
)
@pytest.mark.parametrize("steps", [20, STEPS + 20])
def test_a_run_goes_on_in_the_numbers_of_other_hardware_and_says_so(
    before: Numbers,
    after: Numbers,
    steps: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    learn(tmp_path, before, monkeypatch, steps=steps)
    with caplog.at_level(logging.WARNING):
        rows = learn(tmp_path, after, monkeypatch)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["stop_loss"] < rows[0]["stop_loss"] < 0.6, "it learns on"
    epochs = [Epoch(row["epoch"], row["train_loss"], row["stop_loss"], row["precision"]) for row in rows]
    told = [each.message for each in caplog.records]
    if before is after:
        assert (told, tell_precision(epochs)) == ([], ())
        return
    epoch = 1 + steps // STEPS
    where = f"epoch {epoch}, step 20"
    device = f"from {where} on the run is computed in {after.value}, the best of this cpu device"
    assert told == [f"{device}; until there it was in {before.value}"]
    assert rows[epoch - 1]["precision"] == f"{before.value}, then {after.value}"
    (words,) = tell_precision(epochs)
    assert f"epoch {epoch} in {before.value}, then {after.value}" in words


def test_a_run_that_is_over_is_not_said_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = learn(tmp_path, Numbers.BFLOAT16, monkeypatch)
    assert learn(tmp_path, Numbers.FLOAT16, monkeypatch) == first
    assert [row["precision"] for row in first] == ["bf16", "bf16"]
    assert not caplog.records
