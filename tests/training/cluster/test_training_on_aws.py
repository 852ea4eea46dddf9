"""The whole command, end to end: machines come, train, lose one of them, bring the models home, and nothing is left.

AWS is moto's server; each machine is processes of this one, which boot by their real user data; Ray, its autoscaler and
its AWS provider are real. `crpbot` runs as a program of its own, as a person runs it.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.training.aws_account import TRAINING, Account, account, stop
from training.cluster.mail import MOST_TEXT_BYTES

pytestmark = [pytest.mark.serve, pytest.mark.slow, pytest.mark.alone]  # notices and idle minutes are of the wall's

UNITS = ["lstm-BTC-USD", "lstm-ETH-USD", "transformer-multi"]
STEADY = ("--epochs", "6", "--batch", "1")  # thousands of steps: long enough to be interrupted
SHORT = ("--epochs", "1")
IDLE_MINUTES = 1.0


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Account]:
    with account(tmp_path) as mine:
        yield mine


def weights_at_home(mine: Account) -> set[str]:
    """The hashes of all weights that the laptop has."""
    return {sha256(path.read_bytes()).hexdigest() for path in (mine.folder / "models").rglob("*.pt")}


def weights_in_bucket(mine: Account) -> set[str]:
    """The hashes of all weights that the job made."""
    names = [name for name in mine.files.stamps("jobs/") if name.endswith("/weights.pt")]
    return {sha256(mine.files.read(name, most=100 * MOST_TEXT_BYTES)).hexdigest() for name in names}


def assert_nothing_is_left(mine: Account) -> None:
    assert mine.aws.alive() == []
    assert mine.aws.volumes() == []
    assert mine.hosts.on() == []


def is_in_the_middle(mine: Account) -> bool:
    """Whether every network that learns has left its first epoch and has not ended."""
    at_work = [each for each in mine.progress().values() if 0 < each["done"] < each["total"]]
    return bool(at_work) and all(each["words"].startswith("epoch ") and each["words"] != "epoch 1" for each in at_work)


def test_the_command_trains_through_an_interruption_and_leaves_models_at_home_and_nothing_else(mine: Account) -> None:
    program = mine.begin(*TRAINING, *STEADY, "--json")
    try:
        mine.wait(lambda: is_in_the_middle(mine) and bool(mine.trainers()), "a training in its middle", program=program)
        taken = mine.trainers()[0].instance
        assert taken.is_spot
        mine.hosts.interrupt(taken.id)
        mine.wait(lambda: program.poll() is not None, "the end of the command")
        rows = mine.end(program)
    finally:
        stop(program)

    assert [row["kind"] for row in rows] == ["lstm", "lstm", "transformer"]
    assert all("version" in row for row in rows), (
        f"{rows}: each is kept and judged; whether it is good is another matter"
    )
    assert weights_in_bucket(mine) <= weights_at_home(mine), "the models at home are those that the machines made"
    assert len(weights_in_bucket(mine)) == len(UNITS)
    for unit in UNITS[:2]:
        assert mine.epochs(unit) == sorted(mine.epochs(unit)), "no epoch was trained twice"
    spoke = [unit for unit, _ in mine.heard if unit in UNITS[:2]]
    assert spoke != sorted(spoke), "coins learn side by side, not one after the other"
    workers = [each for each in mine.aws.instances() if each.tags["ray-user-node-type"] == "gpu-spot"]
    assert taken.id in [each.id for each in workers]
    assert len(workers) > 2, "another one came for the one that was taken"
    assert_nothing_is_left(mine)


def test_a_closed_laptop_costs_minutes_and_the_same_command_brings_the_models_home(mine: Account) -> None:
    program = mine.begin(*TRAINING, *SHORT, "--idle-minutes", str(IDLE_MINUTES))
    mine.wait(lambda: bool(mine.progress()), "a job that runs", program=program)
    stop(program)
    launches = len(mine.aws.asked("RunInstances"))
    assert mine.aws.alive(), "nobody ended anything"

    mine.wait(lambda: any(name.endswith("/artefacts.json") for name in mine.files.stamps("jobs/")), "the job's end")
    mine.wait(lambda: not mine.aws.alive(), "the head's own end")
    mine.wait(lambda: not mine.aws.volumes(), "the end of its disk")
    before = len(mine.aws.instances())
    rows = mine.run(*TRAINING, *SHORT)

    assert launches >= 1
    assert mine.ending() == "no job and no worker for 1 minutes"
    assert [row["kind"] for row in rows] == ["lstm", "lstm", "transformer"]
    assert weights_in_bucket(mine) <= weights_at_home(mine)
    assert len(mine.aws.instances()) == before, "nothing was launched for it"
    assert_nothing_is_left(mine)
