"""Several workers learn what one learns, and one of them may die."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.models.lstm import Config as Architecture
from core.models.manifest import Kind
from tests.training.made_up import make_dataset
from training import lstm
from training.checkpoint import METRICS, Row
from training.dataset import Dataset
from training.identity import name_job
from training.lstm import Config, learn
from training.runs import Place, Progress, Where, launch

# `import ray.data`, which Ray Train does unasked, warns of its own settings
pytestmark = [pytest.mark.serve, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")]

TWO = Where(workers=2)
# Gradients of half batches are added in another order: after 129 steps the losses differ by about 1e-7.
TOLERANCE = 1e-5
# Without dropout, which draws for each worker apart.
SMALL = Architecture(hidden=8, head=8, layers=1, dropout=0.0)
QUICK = Config(epochs=3, learning_rate=1e-2, stride=1, precision="f32", save_every=20, architecture=SMALL)
DATASET = make_dataset(size=2_000)


def losses(history: tuple[Row, ...]) -> np.ndarray:
    return np.array([(row["train_loss"], row["stop_loss"]) for row in history])


def children() -> set[str]:
    """The programs that this process or its children have started and that still run."""
    found, seen = set(), {os.getpid()}
    stats = [path.read_text().rsplit(")", 1) for path in Path("/proc").glob("[0-9]*/stat")]
    parents = {int(head.split(" ", 1)[0]): (int(tail.split()[1]), head) for head, tail in stats}
    while fresh := {pid for pid, (parent, _) in parents.items() if parent in seen} - seen:
        seen |= fresh
        found |= {parents[pid][1] for pid in fresh}
    return found


def die_once(config: Config, marker: str, dataset: Dataset, place: Place) -> None:
    """The work of a worker that is killed in its second epoch, the first time that it comes there."""
    stopping, steps = place.is_stopping, [0]

    def count() -> bool:
        steps[0] += 1
        if steps[0] == 70 and place.rank == 1 and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return stopping()

    place.is_stopping = count  # type: ignore[method-assign]
    learn(config, dataset, place)


def test_two_workers_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    before, heard = children(), []
    alone = lstm.train(QUICK, DATASET, root=tmp_path / "one")
    both = lstm.train(QUICK, DATASET, root=tmp_path / "two", where=TWO, tell=heard.append)
    np.testing.assert_allclose(losses(both.history), losses(alone.history), rtol=0, atol=TOLERANCE)
    assert both.manifest.metrics["test_accuracy"] == alone.manifest.metrics["test_accuracy"]
    assert len((tmp_path / "two" / both.manifest.run / METRICS).read_text().splitlines()) == QUICK.epochs
    assert heard, "progress comes back from the workers"
    assert all(isinstance(each, Progress) and each.total == heard[0].total for each in heard)
    assert children() == before, "nothing of the cluster stays behind"


def test_a_killed_worker_is_replaced_and_the_end_is_the_same(tmp_path: Path) -> None:
    alone = lstm.train(QUICK, DATASET, root=tmp_path / "one")
    job = name_job(Kind.LSTM, QUICK, DATASET, root=tmp_path / "two")
    marker = tmp_path / "killed"
    state = launch(partial(die_once, QUICK, str(marker)), DATASET, job, where=TWO)
    assert marker.exists()
    np.testing.assert_allclose(losses(tuple(state["history"])), losses(alone.history), rtol=0, atol=TOLERANCE)
