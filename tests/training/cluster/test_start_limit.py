"""A program that never gets as far as its own watch ends its machine, however often it is started again."""

import json
import threading
from pathlib import Path

from training.cluster.machine import StartLimit, steady

LONG, PATIENCE_SECONDS = 10_000.0, 60.0


def limit(folder: Path, seconds: float, ended: threading.Event) -> StartLimit:
    return StartLimit(folder / "head", seconds, end=ended.set, pause=0.01)


def test_lives_that_crash_share_one_limit(tmp_path: Path) -> None:
    ended = threading.Event()
    limit(tmp_path, LONG, ended).begin()  # and this life crashes
    assert not ended.is_set()
    file = tmp_path / "head" / "unwatched_since.json"
    assert 0.0 <= steady() - json.loads(file.read_text()) < LONG
    file.write_text(json.dumps(steady() - LONG))  # as if that had been so long ago
    last = limit(tmp_path, LONG, ended)
    last.begin()
    assert ended.is_set(), "before it tries anything: a life may crash at once"
    last.over()


def test_a_life_that_hangs_ends_the_machine_and_a_shutdown_that_fails_is_tried_again(tmp_path: Path) -> None:
    ends, twice = [0], threading.Event()

    def end() -> None:
        ends[0] += 1
        if ends[0] == 2:
            twice.set()

    hanging = StartLimit(tmp_path, 0.05, end=end, pause=0.01)
    hanging.begin()
    assert twice.wait(PATIENCE_SECONDS)
    hanging.over()


def test_a_program_that_watches_is_limited_no_more_and_its_next_life_has_the_whole_time(tmp_path: Path) -> None:
    ended = threading.Event()
    file = tmp_path / "head" / "unwatched_since.json"
    first = limit(tmp_path, LONG, ended)
    first.begin()
    file.write_text(json.dumps(steady() - LONG))
    first.over()
    limit(tmp_path, LONG, ended).begin()
    assert not ended.is_set()
    assert steady() - json.loads(file.read_text()) < LONG
