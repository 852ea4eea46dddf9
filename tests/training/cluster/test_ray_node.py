"""How Ray is started on a machine of the cluster: with waits that Ray itself knows, and in a folder that it can use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.boots import BOOT
from training.cluster.pace import Pace
from training.cluster.ray_node import ENVIRONMENT, RAY_FOLDER, RayNode

MOST_SOCKET_PATH = 107  # bytes, of the system
# what Ray reads of its environment when it is started
WAITS = """
from ray.autoscaler._private.constants import AUTOSCALER_MAX_LAUNCH_BATCH as batch
from ray.autoscaler.v2.instance_manager.config import InstanceReconcileConfig
waits = InstanceReconcileConfig()
print(batch, waits.request_status_timeout_s, waits.allocate_status_timeout_s)
"""


def test_ray_asks_for_each_machine_alone_and_gives_up_one_that_does_not_join() -> None:
    pytest.importorskip(
        "ray.autoscaler.v2.instance_manager.config", reason="a private part of Ray, gone in this version"
    )
    told = subprocess.run(
        [sys.executable, "-c", WAITS], env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == ["1", "120", "1500"]


def test_a_machine_that_boots_slowly_is_not_given_up() -> None:
    boot_seconds = 900
    assert f"CRPBOT_BOOT_SECONDS:-{boot_seconds}" in BOOT.read_text()
    patience = float(ENVIRONMENT["RAY_AUTOSCALER_RECONCILE_ALLOCATE_STATUS_TIMEOUT_S"])
    assert patience > boot_seconds + Pace().start


def test_ray_keeps_its_files_on_the_disk_and_below_the_limit_of_sockets(tmp_path: Path) -> None:
    assert RayNode(tmp_path, {}).logs == Path(RAY_FOLDER) / "session_latest" / "logs"
    assert Path(RAY_FOLDER).is_relative_to("/var/tmp")  # /tmp is memory there
    longest = f"{RAY_FOLDER}/session_2026-11-21_23-51-24_123456_1234567/sockets/plasma_store.1"
    assert len(longest.encode()) <= MOST_SOCKET_PATH


def test_a_folder_that_is_named_is_taken(tmp_path: Path) -> None:
    named = RayNode(tmp_path / "head", {"CRPBOT_RAY_FOLDER": str(tmp_path / "ray")})
    assert named.logs == tmp_path / "ray" / "session_latest" / "logs"
