"""An agent learns the same however often its run is interrupted, and the run says where it stands."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import CrpbotError
from tests.training.agent_runs import TINY, BreakError, FragilePlace, break_off, here, same_weights, taught, tiny_ground
from tests.training.planted import make_course
from training.agent_run import Ground
from training.checkpoint import METRICS
from training.ppo import learn
from training.runs import RESUME, Interrupted

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("rounds", [2, 4, 7], ids=["before a checkpoint", "at one", "after one"])
def test_a_broken_run_ends_with_the_weights_of_an_undisturbed_one(rounds: int, tmp_path: Path) -> None:
    ground = tiny_ground()
    whole = taught(TINY, ground, here(tmp_path / "whole"))
    with pytest.raises(BreakError):
        learn(TINY, ground, FragilePlace(tmp_path / "broken", rounds * TINY.round_steps, break_off))

    again = taught(TINY, ground, here(tmp_path / "broken"))

    assert same_weights(whole, again)
    assert [row["held_out"] for row in whole["history"] if "held_out" in row] == [
        row["held_out"] for row in again["history"] if "held_out" in row
    ]
    assert [row["round"] for row in again["history"]] == list(range(1, TINY.rounds + 1))


def test_a_run_that_is_asked_to_stop_saves_at_once_and_goes_on_the_same(tmp_path: Path) -> None:
    ground = tiny_ground()
    whole = taught(TINY, ground, here(tmp_path / "whole"))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted, match="saved at round 1 of 12") as stopped:
        learn(TINY, ground, here(tmp_path / "stopped", stop=stop))

    again = taught(TINY, ground, here(tmp_path / "stopped"))

    assert stopped.value.code == RESUME
    assert same_weights(whole, again)


def test_a_finished_run_is_not_computed_again(tmp_path: Path) -> None:
    ground = tiny_ground()
    first = taught(TINY, ground, here(tmp_path))

    assert same_weights(first, taught(TINY, ground, FragilePlace(tmp_path, TINY.steps, break_off)))


def test_each_round_has_its_line_of_metrics(tmp_path: Path) -> None:
    taught(TINY, tiny_ground(), here(tmp_path))

    rows = [json.loads(line) for line in (tmp_path / "run" / METRICS).read_text().splitlines()]

    assert [row["steps"] for row in rows] == [64 * number for number in range(1, 13)]
    assert [row["round"] for row in rows if "held_out" in row] == [4, 8, 12]
    assert all(math.isfinite(value) for row in rows for value in row.values())


def test_a_run_whose_numbers_overflow_says_so(tmp_path: Path) -> None:
    course = make_course(np.full(400, 100.0), length=20, features=np.full((400, 31), np.nan, dtype=np.float32))

    with pytest.raises(CrpbotError, match=r"round 1 is nan: .* take a lower learning rate"):
        learn(TINY, Ground(course), here(tmp_path))


PROGRAM = """
import os, signal, sys
from pathlib import Path
from tests.training.agent_runs import TINY, FragilePlace, learn, tiny_ground
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
learn(TINY, tiny_ground(), FragilePlace(Path(sys.argv[1]), int(sys.argv[2]), kill))
"""


@pytest.mark.slow
def test_a_killed_process_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    whole = taught(TINY, tiny_ground(), here(tmp_path / "whole"))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "killed")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}

    codes = [
        subprocess.run([*command, str(rounds * TINY.round_steps)], env=environment, cwd=ROOT, check=False).returncode
        for rounds in (6, 10, -1)
    ]

    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 0]
    again = here(tmp_path / "killed").restore()
    assert again is not None
    assert same_weights(whole, again)
