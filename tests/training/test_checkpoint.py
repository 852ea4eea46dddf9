"""A checkpoint is whole or not there, and no other training goes on from it."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from core.errors import Code, CrpbotError
from training.checkpoint import CHECKPOINT, METRICS, read_checkpoint, write_checkpoint, write_metrics

MINE = "a" * 64


@contextmanager
def nearly_full(most_bytes: int) -> Iterator[None]:
    """As long as it lasts no file grows beyond so many bytes: the disk ends there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def state(number: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(number)
    weights = torch.randn(500, 20, generator=generator)
    return {"epoch": number, "network": {"weights": weights}, "history": [{"epoch": number, "loss": 0.1}]}


def test_a_state_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, state(1), identity=MINE)
    write_checkpoint(path, state(2), identity=MINE)
    found = read_checkpoint(path, identity=MINE)
    assert found is not None
    assert (found["epoch"], found["history"]) == (2, [{"epoch": 2, "loss": 0.1}])
    assert torch.equal(found["network"]["weights"], state(2)["network"]["weights"])  # type: ignore[index]


def test_a_new_run_has_no_state(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / CHECKPOINT, identity=MINE) is None


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, state(1), identity=MINE)
    before = path.read_bytes()
    with (
        nearly_full(len(before) // 2),
        pytest.raises(CrpbotError, match="before it stays: make room") as caught,
    ):
        write_checkpoint(path, state(2), identity=MINE)
    assert (caught.value.code, caught.value.reason) == (Code.RESOURCE_EXHAUSTED, "CHECKPOINT_NOT_WRITTEN")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_before_the_first_checkpoint_is_told_as_that(tmp_path: Path) -> None:
    with nearly_full(1_000), pytest.raises(CrpbotError, match="there is none yet"):
        write_checkpoint(tmp_path / CHECKPOINT, state(1), identity=MINE)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, state(1), identity=MINE)
    path.with_name(CHECKPOINT + ".part").write_bytes(path.read_bytes()[:1_000])
    found = read_checkpoint(path, identity=MINE)
    assert found is not None
    assert found["epoch"] == 1
    write_checkpoint(path, state(2), identity=MINE)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_cut_checkpoint_is_refused_with_the_remedy(tmp_path: Path, kept: int) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, state(1), identity=MINE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CrpbotError, match="delete it and train again"):
        read_checkpoint(path, identity=MINE)


def test_another_training_does_not_go_on_from_it(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, state(1), identity=MINE)
    with pytest.raises(CrpbotError, match=r"aaaaaaaa, now bbbbbbbb.*give this one another name"):
        read_checkpoint(path, identity="b" * 64)


def test_metrics_have_a_line_for_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    write_metrics(path, [{"epoch": 1, "loss": 0.5}])
    write_metrics(path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == [0.5, 0.25]
