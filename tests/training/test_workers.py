"""Several workers learn what one learns, one of them may die, and a run that ended early goes on under its name."""

import json
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.errors import Code, CrpbotError
from core.models.lstm import Config as Architecture
from core.models.manifest import Kind
from tests.training.agent_runs import SHORT_RUN
from tests.training.made_up import make_dataset
from tests.training.planted import plant_course
from training import lstm, ppo
from training.agent_run import Ground
from training.checkpoint import METRICS, Row, State
from training.dataset import Dataset
from training.identity import name_job
from training.lstm import Config
from training.runs import Job, Place, Progress, Where, launch

# `import ray.data`, which Ray Train does unasked, warns of its own settings
pytestmark = [pytest.mark.serve, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")]

TWO = Where(workers=2)
# Gradients of half batches are added in another order: after 129 steps the losses differ by about 1e-7.
TOLERANCE = 1e-5
# Without dropout, which draws for each worker apart.
SMALL = Architecture(hidden=8, head=8, layers=1, dropout=0.0)
QUICK = Config(epochs=3, learning_rate=1e-2, stride=1, precision="f32", save_every=20, architecture=SMALL)
DATASET = make_dataset(size=2_000)


def losses(history: Sequence[Row]) -> np.ndarray:
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
    lstm.learn(config, dataset, place)


def break_off(config: ppo.Config, kept: str, ground: Ground, place: Place) -> None:
    """The work of a group that gives up together when it has kept its second state."""
    keep, count = place.keep, [0]

    def give_up(state: State, history: Sequence[Row]) -> None:
        keep(state, history)
        count[0] += 1
        if count[0] == 2:
            if place.rank == 0:
                Path(kept).write_text(json.dumps(history))
            raise CrpbotError(Code.FAILED_PRECONDITION, "gave up", reason="GAVE_UP")

    place.keep = give_up  # type: ignore[method-assign]
    ppo.learn(config, ground, place)


def test_two_workers_have_the_loss_curve_of_one_even_if_one_of_them_is_killed(tmp_path: Path) -> None:
    before, heard = children(), []
    alone = lstm.train(QUICK, DATASET, root=tmp_path / "one")
    job = name_job(Kind.LSTM, QUICK, DATASET, root=tmp_path / "two")
    marker = tmp_path / "killed"
    state = launch(partial(die_once, QUICK, str(marker)), DATASET, job, where=TWO, tell=heard.append)
    assert marker.exists()
    np.testing.assert_allclose(losses(state["history"]), losses(alone.history), rtol=0, atol=TOLERANCE)
    assert len((job.folder / METRICS).read_text().splitlines()) == QUICK.epochs
    assert heard, "progress comes back from the workers"
    assert all(isinstance(each, Progress) and each.total == heard[0].total for each in heard)
    assert children() == before, "nothing of the cluster stays behind"
    with pytest.raises(CrpbotError, match=r"was begun by a group of workers, .*: go on with the --workers or"):
        lstm.train(QUICK, DATASET, root=tmp_path / "two")


def test_two_workers_teach_an_agent_and_their_run_goes_on_under_its_name(tmp_path: Path) -> None:
    ground = Ground(plant_course(seed=1), plant_course(seed=2, size=3_000))
    job, kept = Job("run", "tests", tmp_path), tmp_path / "kept"
    with pytest.raises(CrpbotError, match="gave up"):
        launch(partial(break_off, SHORT_RUN, str(kept)), ground, job, where=TWO)

    state = launch(partial(ppo.learn, SHORT_RUN), ground, job, where=TWO)

    assert [row["round"] for row in state["history"]] == list(range(1, SHORT_RUN.rounds + 1))
    before = json.loads(kept.read_text())
    assert len(before) == 2 * SHORT_RUN.check_every < SHORT_RUN.rounds
    assert state["history"][: len(before)] == before, "to the last digit of their seconds: they were not played again"
    # half a unit is held in the right direction: 120 minutes of 0.2 per mille are 24, and changing sides costs 4
    assert state["best_earned"] > 12.0
