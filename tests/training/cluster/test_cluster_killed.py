"""A launcher that is killed with -9, whenever, leaves nothing that `crpbot cluster down` does not end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.cluster.test_cluster_end import start
from tests.training.killed_launcher import BY_ANOTHER
from tests.training.launching import ROOT, Laptop, served

ROUNDS = 50
BY_PROGRAM = {7, 31}  # these rounds end by the command as a program, which takes seconds
WITH_WORKERS = {7, 18}  # Ray had begun workers before the launcher was killed
SEED = 20261121

Driver = subprocess.Popen[str]


@pytest.mark.slow
def test_fifty_launchers_killed_at_random_moments_leave_nothing_after_down(tmp_path: Path) -> None:
    begun_before, heads = 0, []
    with served(tmp_path) as aws:
        laptop = Laptop(aws, tmp_path)
        laptop.prepare()
        command = [sys.executable, "-m", "tests.training.killed_launcher", str(tmp_path), str(SEED)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as driver:
            for number in range(ROUNDS):
                before = aws.connected()
                told = ask(driver, "")
                aws.settle(besides=before)  # what was asked for before the kill is answered, though to nobody
                workers = [start(laptop.cloud) for _ in range(2)] if number in WITH_WORKERS else []
                ended = end(driver, tmp_path, as_program=number in BY_PROGRAM)
                begun = aws.instances()[begun_before:]
                begun_before += len(begun)
                assert {each.state for each in begun} <= {"terminated"}, f"round {number}: {told}"
                assert sorted(ended) == sorted(each.id for each in begun)
                assert set(workers) <= set(ended)
                heads.append(len(begun) - len(workers))
                assert not aws.volumes()
            assert driver.stdin is not None
            driver.stdin.close()
    # the moments were spread: some came before the head was asked for, some after
    assert set(heads) == {0, 1}


def end(driver: Driver, folder: Path, *, as_program: bool) -> list[str]:
    """What was ended, by the launcher's own function or by the command as a person runs it."""
    if not as_program:
        ended: list[str] = ask(driver, "end")["ended"]
        return ended
    assert driver.stdin is not None
    driver.stdin.write(f"{BY_ANOTHER}\n")
    driver.stdin.flush()
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "cluster", "down", "--file", str(ROOT / "ray_cluster.yaml"), "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    row: dict[str, Any] = json.loads(done.stdout)  # Any: decoded JSON
    assert (row["left_instances"], row["left_volumes"]) == (0, 0)
    return list(row["instances"])


def ask(driver: Driver, words: str) -> dict[str, Any]:  # Any: decoded JSON
    """A line of the driver's for a line of ours."""
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.stdin.write(f"{words}\n")
    driver.stdin.flush()
    answer = driver.stdout.readline()
    assert answer, "the driver has ended"
    told: dict[str, Any] = json.loads(answer)
    return told
