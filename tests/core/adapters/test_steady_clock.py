"""The steady clock goes on through changes of the wall clock, restarts of a process and of the machine."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.adapters.ledger.migrations import INI_FILE
from core.adapters.steady_clock import FILE_NAME, Sources, open_clock
from core.errors import CrpbotError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1_000)

NOW = """
import sys
from pathlib import Path
from core.adapters.steady_clock import open_clock
print(open_clock(Path(sys.argv[1]))().steady_ms)
"""


@dataclass
class Machine:
    """A machine whose clocks a test can turn."""

    wall: datetime = NOON
    boot_ms: int = 5_000_000
    boot: str = "first"

    def sources(self) -> Sources:
        return Sources(lambda: self.wall, lambda: self.boot_ms, self.boot)

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.boot_ms += round(seconds * 1_000)

    def restart(self, boot: str) -> None:
        self.boot, self.boot_ms = boot, 20_000


def test_a_new_clock_begins_at_the_wall_clock_and_its_label_is_the_wall_clock(tmp_path: Path) -> None:
    moment = open_clock(tmp_path, sources=Machine().sources())()
    assert (moment.at, moment.steady_ms) == (NOON, NOON_MS)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_jumps_moves_the_label_alone_also_over_a_restart_of_the_process(
    tmp_path: Path, hours: int
) -> None:
    machine = Machine()
    clock = open_clock(tmp_path, sources=machine.sources())
    machine.pass_time(60)
    machine.wall += timedelta(hours=hours)
    assert clock().steady_ms == NOON_MS + 60_000
    assert clock().at == NOON + timedelta(hours=hours, seconds=60)
    assert open_clock(tmp_path, sources=machine.sources())().steady_ms == NOON_MS + 60_000


def test_after_a_restart_of_the_machine_the_clock_follows_the_wall_again(tmp_path: Path) -> None:
    machine = Machine()
    open_clock(tmp_path, sources=machine.sources())
    machine.wall += timedelta(hours=5)
    machine.restart("second")
    assert open_clock(tmp_path, sources=machine.sources())().steady_ms == NOON_MS + 5 * 3_600_000


def test_after_a_restart_with_a_wall_clock_set_back_it_does_not_stand_before_what_is_stored(tmp_path: Path) -> None:
    machine = Machine()
    open_clock(tmp_path, sources=machine.sources())
    machine.wall = datetime(1970, 1, 1, tzinfo=UTC)
    machine.restart("second")
    clock = open_clock(tmp_path, newest_ms=NOON_MS + 7, sources=machine.sources())
    assert clock().steady_ms == NOON_MS + 7
    machine.pass_time(1)
    assert clock().steady_ms == NOON_MS + 1_007


def test_all_processes_of_a_machine_read_one_clock(tmp_path: Path) -> None:
    before = open_clock(tmp_path)().steady_ms
    command = [sys.executable, "-c", NOW, str(tmp_path)]
    other = int(subprocess.run(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True, check=True).stdout)
    assert before <= other <= open_clock(tmp_path)().steady_ms


def test_many_that_start_at_once_agree_on_one_anchor(tmp_path: Path) -> None:
    walls = [NOON + timedelta(seconds=number) for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        clocks = list(threads.map(lambda wall: open_clock(tmp_path, sources=Machine(wall).sources()), walls))
    assert len({clock.anchor_ms for clock in clocks}) == 1


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"boot": "first"}', '{"boot": "first", "anchor_ms": true}', "\x00"]
)
def test_a_damaged_anchor_is_made_anew_and_not_before_what_is_stored(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    clock = open_clock(tmp_path, newest_ms=NOON_MS + 9, sources=Machine().sources())
    assert clock().steady_ms == NOON_MS + 9
    assert json.loads((tmp_path / FILE_NAME).read_text()) == {"boot": "first", "anchor_ms": clock.anchor_ms}


def test_only_the_owner_may_read_the_anchor(tmp_path: Path) -> None:
    open_clock(tmp_path / "state", sources=Machine().sources())
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CrpbotError, match="choose a writable state folder") as caught:
        open_clock(tmp_path / "file", sources=Machine().sources())
    assert caught.value.reason == "CLOCK_NOT_WRITABLE"
