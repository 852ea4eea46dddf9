"""A training learns what is there, stops when it should, and does not mind being interrupted."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from core.errors import CrpbotError
from core.models.lstm import Config as Architecture
from core.models.manifest import Kind
from core.models.weights import decode
from tests.training.made_up import make_dataset, shuffle_labels
from training import lstm
from training.checkpoint import METRICS
from training.feed import score
from training.identity import name_job
from training.lstm import Config, learn
from training.runs import RESUME, Here, Interrupted, Job, Place, Progress, Where, launch
from training.trained import Run
from training.workers import ending_on_request

SMALL = Architecture(hidden=8, head=8)
QUICK = Config(
    epochs=4, learning_rate=1e-2, stride=1, level_noise=0.0, precision="f32", save_every=20, architecture=SMALL
)
DATASET = make_dataset(size=2_000)
STEPS = 43  # of an epoch


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return lstm.train(QUICK, DATASET, root=tmp_path_factory.mktemp("undisturbed"))


class Mortal(Here):
    """A place where something happens after so many steps."""

    def __init__(self, job: Job, steps: int, happens: Callable[[], None]) -> None:
        super().__init__(job, torch.device("cpu"))
        self._left = steps
        self._happens = happens

    def is_stopping(self) -> bool:
        self._left -= 1
        if self._left == 0:
            self._happens()
        return super().is_stopping()


def test_it_learns_what_the_windows_tell(undisturbed: Run) -> None:
    (scores,) = undisturbed.scores
    assert undisturbed.manifest.metrics["test_accuracy"] > 0.85, "the first input tells nine outcomes in ten"
    assert np.mean((scores.probability >= 0.5) == scores.up) == undisturbed.manifest.metrics["test_accuracy"]
    losses = [row["stop_loss"] for row in undisturbed.history]
    assert losses[-1] < losses[0]
    assert np.abs(scores.probability[scores.up].mean() - scores.up[scores.probability > 0.5].mean()) < 0.1


def test_outcomes_of_other_minutes_cannot_be_learned(tmp_path: Path) -> None:
    run = lstm.train(QUICK, shuffle_labels(DATASET), root=tmp_path)
    chance = 0.5 + 4 * 0.5 / np.sqrt(run.manifest.metrics["test_windows"])
    assert run.manifest.metrics["test_accuracy"] < chance


def test_the_manifest_vouches_for_the_weights(undisturbed: Run) -> None:
    manifest = undisturbed.manifest
    network = decode(manifest, undisturbed.blob)
    assert sum(each.numel() for each in network.parameters()) == manifest.parameters
    assert (manifest.kind, manifest.symbols, manifest.origin) == (Kind.LSTM, ("BTC-USD",), "made-up")
    assert (manifest.seed, manifest.data_hash, len(manifest.code_hash)) == (QUICK.seed, DATASET.data_hash, 64)
    assert manifest.spans.train.last < manifest.spans.test.first


def test_the_best_weights_are_kept_and_not_the_last(tmp_path: Path) -> None:
    wild = replace(QUICK, epochs=3, learning_rate=0.3)
    run = lstm.train(wild, DATASET, root=tmp_path)
    losses = [row["stop_loss"] for row in run.history]
    assert losses[-1] > min(losses) + 1e-3, "the last epoch was not the best"
    rows = DATASET.stop.rows
    logits = score(decode(run.manifest, run.blob), torch.from_numpy(DATASET.features), rows, DATASET.window)
    told = float(binary_cross_entropy_with_logits(logits, torch.from_numpy(DATASET.up[rows])))
    assert told == pytest.approx(min(losses), abs=1e-6)
    assert run.manifest.metrics["stop_loss"] == min(losses)


def test_it_ends_when_the_held_out_loss_no_longer_falls(tmp_path: Path) -> None:
    still = replace(QUICK, epochs=9, learning_rate=0.0, patience=2)
    assert len(lstm.train(still, DATASET, root=tmp_path).history) == 3


def test_a_loss_that_is_no_number_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError, match="take a lower learning rate than 1e\\+30"):
        lstm.train(replace(QUICK, learning_rate=1e30), DATASET, root=tmp_path)


def test_the_same_seed_gives_the_same_weights_and_another_others(undisturbed: Run, tmp_path: Path) -> None:
    again = lstm.train(QUICK, DATASET, root=tmp_path)
    assert again.manifest.sha256 == undisturbed.manifest.sha256
    assert again.manifest.run == undisturbed.manifest.run
    other = lstm.train(replace(QUICK, epochs=1, seed=8), DATASET, root=tmp_path)
    assert other.manifest.sha256 != undisturbed.manifest.sha256


@pytest.mark.parametrize("step", [1, 20, STEPS, 100])
def test_sigterm_saves_and_the_same_command_goes_on_to_the_same_weights(
    undisturbed: Run, tmp_path: Path, step: int
) -> None:
    job = name_job(Kind.LSTM, QUICK, DATASET, root=tmp_path)
    heard: list[Progress] = []

    def work(dataset: object, place: Place) -> None:
        place.__class__ = Mortal
        place._left, place._happens = step, lambda: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[attr-defined]
        learn(QUICK, DATASET, place)

    with pytest.raises(Interrupted, match="the same command goes on from there") as caught:
        launch(work, DATASET, job)
    assert caught.value.code == RESUME
    run = lstm.train(QUICK, DATASET, root=tmp_path, tell=heard.append)
    assert heard[0].done == step + 1
    assert run.manifest.sha256 == undisturbed.manifest.sha256
    assert [row["stop_loss"] for row in run.history] == [row["stop_loss"] for row in undisturbed.history]
    assert [row["train_loss"] for row in run.history] == [row["train_loss"] for row in undisturbed.history]


@pytest.mark.parametrize("step", [5, STEPS, 100])
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(undisturbed: Run, tmp_path: Path, step: int) -> None:
    job = name_job(Kind.LSTM, QUICK, DATASET, root=tmp_path)
    child = os.fork()
    if child == 0:
        try:
            learn(QUICK, DATASET, Mortal(job, step, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    heard: list[Progress] = []
    run = lstm.train(QUICK, DATASET, root=tmp_path, tell=heard.append)
    assert step - heard[0].done < QUICK.save_every, "at most what was done since the last checkpoint is lost"
    assert run.manifest.sha256 == undisturbed.manifest.sha256


def test_a_request_to_end_reaches_whoever_waits_for_other_workers() -> None:
    with pytest.raises(Interrupted) as caught, ending_on_request():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == RESUME


def test_a_finished_run_is_not_computed_again(tmp_path: Path) -> None:
    first = lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path)
    heard: list[Progress] = []
    again = lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path, tell=heard.append)
    assert (again.manifest.sha256, heard) == (first.manifest.sha256, [])


def test_another_training_under_the_same_name_is_refused(tmp_path: Path) -> None:
    lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path, name="mine")
    with pytest.raises(CrpbotError, match="give this one another name"):
        lstm.train(replace(QUICK, epochs=1, batch=64), DATASET, root=tmp_path, name="mine")


def test_a_run_that_one_worker_began_is_not_begun_again_by_two(tmp_path: Path) -> None:
    run = lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path)
    words = f"run {run.manifest.run} was begun by one worker, .*: go on without --workers and --address, or move"
    for where in (Where(workers=2), Where(address="ray://127.0.0.1:1")):
        with pytest.raises(CrpbotError, match=words):
            lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path, where=where)
    assert lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path).manifest.sha256 == run.manifest.sha256


def test_a_run_that_still_goes_on_is_not_begun_a_second_time(tmp_path: Path) -> None:
    job = name_job(Kind.LSTM, QUICK, DATASET, root=tmp_path)

    def meanwhile(_dataset: object, place: Place) -> None:
        with pytest.raises(CrpbotError, match=f"run {job.name} is still going on in another process"):
            lstm.train(QUICK, DATASET, root=tmp_path)
        assert not list(job.folder.glob("*.jsonl")), "the second one has written nothing"
        assert place.restore() is None
        place.keep({}, ())

    launch(meanwhile, DATASET, job)
    lstm.train(replace(QUICK, epochs=1), DATASET, root=tmp_path)


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_learned(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(CrpbotError, match=r"cannot be written to .*runs/mine: Not a directory; make room"):
        lstm.train(QUICK, DATASET, root=tmp_path / "runs", name="mine")


@pytest.mark.parametrize("name", ["", "../mine", "a b", "x" * 65])
def test_a_name_that_is_no_folder_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CrpbotError, match="is no name"):
        lstm.train(QUICK, DATASET, root=tmp_path, name=name)


@pytest.mark.parametrize("setting", ["epochs", "batch", "stride", "patience", "save_every"])
def test_a_setting_below_one_is_refused_by_name(tmp_path: Path, setting: str) -> None:
    with pytest.raises(CrpbotError, match=f"{setting}: 0 is below 1"):
        lstm.train(replace(QUICK, **{setting: 0}), DATASET, root=tmp_path)


def test_progress_has_a_rate_and_the_time_left(tmp_path: Path) -> None:
    heard: list[Progress] = []
    run = lstm.train(replace(QUICK, epochs=2), DATASET, root=tmp_path, tell=heard.append)
    assert heard[-1].done == heard[-1].total == 2 * STEPS
    assert heard[-1].seconds_left == 0.0
    assert all(each.rate > 0 for each in heard)
    lines = (tmp_path / run.manifest.run / METRICS).read_text().splitlines()
    assert len(lines) == 2


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(CrpbotError, match="make torch CUDA=yes"):
        lstm.train(QUICK, DATASET, root=tmp_path, where=Where(gpu=True))


def test_no_worker_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError, match="0 is not at least 1"):
        lstm.train(QUICK, DATASET, root=tmp_path, where=Where(workers=0))
