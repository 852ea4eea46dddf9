"""What a machine of the cluster does first: orders its own end, then installs the code of its launch and no other."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_aws.metadata import FakeMetadata
from tests.training.booting_machine import INSTANCE, Machine
from tests.training.boots import BOOT, install


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with FakeMetadata(instance_id=INSTANCE) as service:
        yield Machine(tmp_path, service)


def test_a_machine_orders_its_end_before_anything_else(machine: Machine) -> None:
    assert machine.boot() == 0
    assert machine.calls[0] == "shutdown -P +240"


def test_the_steps_follow_each_other(machine: Machine) -> None:
    assert machine.boot() == 0
    programs = [call.split()[0] for call in machine.calls]
    assert programs == [*("shutdown", "dnf", "aws", "python3.11", "python3.11", "python", "python", "systemd-run")]
    packages, torch = machine.calls[5:7]
    assert packages == "python -m pip install --quiet --no-compile --require-hashes -r requirements.lock"
    assert torch == "python scripts/install_torch.py"


def test_a_machine_with_a_gpu_takes_the_torch_for_it(machine: Machine) -> None:
    assert machine.boot(CRPBOT_GPU="yes") == 0
    assert "python scripts/install_torch.py --cuda" in machine.calls


def test_a_gpu_is_proven_before_the_program_starts(machine: Machine) -> None:
    assert machine.boot(CRPBOT_GPU="yes") == 0
    proof = 'python -c import torch; torch.zeros(1, device="cuda")'
    torch, *rest = machine.calls[-3:]
    assert torch.endswith("--cuda")
    assert rest[0] == proof
    assert rest[1].startswith("systemd-run ")


def test_a_gpu_that_does_not_work_ends_the_machine(machine: Machine) -> None:
    assert machine.boot(CRPBOT_GPU="yes", FAILING="gpu") != 0
    assert not [call for call in machine.calls if call.startswith("systemd-run")]
    assert "shutdown -P +1" in machine.calls
    assert "boot of the head failed at 'the GPU'" in machine.trouble


def test_packages_and_the_program_keep_their_files_on_the_disk(machine: Machine) -> None:
    assert machine.boot() == 0
    pip = machine.environment_of("python")
    assert (pip["TMPDIR"], pip["PIP_NO_CACHE_DIR"]) == ("/var/tmp", "1")  # what is not memory there
    assert "--setenv=TMPDIR=/var/tmp" in machine.calls[-1]


def test_a_place_for_passing_files_that_is_set_stays(machine: Machine, tmp_path: Path) -> None:
    assert machine.boot(TMPDIR=str(tmp_path)) == 0
    assert machine.environment_of("python")["TMPDIR"] == str(tmp_path)
    assert f"--setenv=TMPDIR={tmp_path}" in machine.calls[-1]


def test_a_silent_package_server_is_asked_again(machine: Machine) -> None:
    assert machine.boot() == 0
    pip = machine.environment_of("python")
    assert (pip["PIP_DEFAULT_TIMEOUT"], pip["PIP_RETRIES"]) == ("30", "5")


def test_whoever_asks_for_the_keys_of_the_role_has_patience(machine: Machine) -> None:
    assert machine.boot() == 0
    asking = machine.environment_of("aws")
    for name in ("AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"):
        assert asking[name] == "5"
        assert f"--setenv={name}=5" in machine.calls[-1]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_the_program_of_the_role_is_kept_running_and_ray_is_not_ended_with_it(machine: Machine, role: str) -> None:
    assert machine.boot(CRPBOT_ROLE=role, CRPBOT_NODE_TYPE="gpu-spot") == 0
    call = machine.calls[-1]
    assert call.startswith(f"systemd-run --unit=crpbot-{role} --working-directory={machine.root}/code ")
    assert call.endswith(f"{machine.root}/venv/bin/python -m training.cluster.{role}")
    for wanted in ("Restart=always", "KillMode=process", "StartLimitAction=poweroff", "OOMPolicy=continue"):
        assert f"--property={wanted}" in call
    for told in ("CRPBOT_NODE_TYPE=gpu-spot", f"CRPBOT_ROOT={machine.root}", f"PYTHONPATH={machine.root}/code"):
        assert f"--setenv={told}" in call


def test_no_key_of_aws_stands_in_the_arguments_of_the_program(machine: Machine) -> None:
    assert machine.boot(AWS_SECRET_ACCESS_KEY="not-for-arguments", AWS_SESSION_TOKEN="nor-this") == 0
    assert "not-for-arguments" not in "".join(machine.calls)
    assert "nor-this" not in "".join(machine.calls)


@pytest.mark.parametrize("ends_at", ["1700000000", "", "soon", "-5", "1e12"])
def test_a_limit_that_is_past_or_unreadable_ends_the_machine_at_once(machine: Machine, ends_at: str) -> None:
    assert machine.boot(CRPBOT_ENDS_AT=ends_at) == 0
    assert machine.calls == ["shutdown -P now"]


@pytest.mark.parametrize("minutes", ["", "0", "soon", "-5", "1e3", "08"])
def test_so_does_a_lifetime_that_is_none(machine: Machine, minutes: str) -> None:
    assert machine.boot(CRPBOT_LIFETIME_MINUTES=minutes) == 0
    assert machine.calls == ["shutdown -P now"]


def test_a_laptop_whose_clock_is_wrong_cannot_lengthen_a_life(machine: Machine) -> None:
    assert machine.boot(CRPBOT_ENDS_AT=str(int(time.time()) + 30 * 86_400)) == 0
    assert machine.calls[0] == "shutdown -P +240"


def test_a_machine_that_comes_late_ends_with_its_launch(machine: Machine) -> None:
    assert machine.boot(CRPBOT_LIFETIME_MINUTES="4320") == 0
    assert machine.calls[0] == "shutdown -P +240"


def test_a_boot_that_takes_too_long_ends_the_machine(machine: Machine) -> None:
    assert machine.boot(CRPBOT_BOOT_SECONDS="0") != 0
    assert [call.split()[0] for call in machine.calls if "dnf" in call or "systemd-run" in call] == []
    assert "shutdown -P +1" in machine.calls
    assert "the steps before the start took more than 0 seconds together" in machine.log


def test_a_step_that_hangs_is_ended_and_the_machine_with_it(machine: Machine) -> None:
    install(machine.packages / "python3.11", "#!/bin/bash\nexec tail -f /dev/null\n")
    assert machine.boot(CRPBOT_BOOT_SECONDS="2") != 0
    assert "shutdown -P +1" in machine.calls
    assert "boot of the head failed at " in machine.trouble
    assert not [call for call in machine.calls if call.startswith("systemd-run")]


def test_the_last_words_stand_on_the_console_too(machine: Machine) -> None:
    assert machine.boot(FAILING="aws") != 0  # no bucket
    assert "boot of the head failed at 'fetch the code'" in machine.console.read_text()


def test_a_machine_without_a_console_ends_all_the_same(machine: Machine) -> None:
    assert machine.boot(FAILING="dnf", CRPBOT_CONSOLE=f"{machine.console}/none") != 0
    assert "shutdown -P +1" in machine.calls


def test_what_the_image_brings_along_is_not_installed_again(machine: Machine) -> None:
    for package in machine.packages.iterdir():
        install(machine.programs / package.name, package.read_text())
    assert machine.boot(FAILING="dnf") == 0
    assert not [call for call in machine.calls if call.startswith("dnf")]


@pytest.mark.parametrize("there", [(), ("aws",), ("python3.11",)])
def test_what_is_missing_is_installed(machine: Machine, there: tuple[str, ...]) -> None:
    (machine.programs / "aws").unlink()
    for name in there:
        install(machine.programs / name, (machine.packages / name).read_text())
    assert machine.boot() == 0
    assert "dnf install -y -q --setopt=*.skip_if_unavailable=1 python3.11 awscli-2" in machine.calls


def test_code_that_does_not_come_is_asked_for_again(machine: Machine) -> None:
    assert machine.boot(FAILING="first-aws") == 0
    assert [call.split()[0] for call in machine.calls][2:5] == ["aws", "sleep", "aws"]


def test_the_last_minute_is_counted_as_a_whole_one(machine: Machine) -> None:
    assert machine.boot(CRPBOT_ENDS_AT=str(int(time.time()) + 55)) == 0
    assert machine.calls[0] == "shutdown -P +1"


def test_an_end_that_cannot_be_ordered_ends_the_machine_now(machine: Machine) -> None:
    machine.boot(FAILING="shutdown")
    assert machine.calls[:2] == ["shutdown -P +240", "poweroff --force"]


def test_a_machine_that_was_restarted_ends(machine: Machine) -> None:
    folder = Path(machine.environment["CRPBOT_PER_BOOT"])
    folder.mkdir()
    assert machine.boot() == 0
    machine.calls_file.unlink()
    subprocess.run([folder / "crpbot-ends"], env=machine.environment, check=True)
    assert machine.calls == ["shutdown -P now"]


def test_code_of_another_hash_is_not_even_unpacked(machine: Machine) -> None:
    assert machine.boot(CRPBOT_CODE_SHA256="0" * 64) != 0
    assert not [call for call in machine.calls if call.startswith(("python", "systemd-run"))]
    assert "the code is not the one of the launch: its sha256 differs" in machine.trouble
    assert "shutdown -P +1" in machine.calls


@pytest.mark.parametrize(
    ("failing", "step"),
    [
        ("dnf", "packages of the system"),
        ("python", "packages of the lock"),
        ("systemd-run", "start the head"),
    ],
)
def test_whatever_fails_ends_the_machine_and_leaves_its_last_words(machine: Machine, failing: str, step: str) -> None:
    assert machine.boot(FAILING=failing) != 0
    ordered = [call for call in machine.calls if call.startswith(("shutdown", "aws s3 cp --only-show-errors /"))]
    assert ordered[:2] == ["shutdown -P +240", "shutdown -P +1"], "the end is ordered before words are sent"
    assert len(ordered) == 3
    assert machine.trouble.splitlines()[-1].startswith(f"boot of the head failed at '{step}' with status ")


def test_a_bucket_that_does_not_answer_ends_the_machine_too(machine: Machine) -> None:
    assert machine.boot(FAILING="aws") != 0
    assert "shutdown -P +1" in machine.calls
    assert "boot of the head failed at 'fetch the code'" in machine.log


def test_packages_are_tried_again_while_the_system_updates_itself(machine: Machine) -> None:
    machine.boot(FAILING="dnf")
    assert [call.split()[0] for call in machine.calls][1:6] == ["dnf", "sleep", "dnf", "sleep", "dnf"]


def test_a_machine_without_metadata_signs_with_its_host_name(machine: Machine) -> None:
    assert machine.boot(FAILING="dnf", AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:1") != 0
    (left,) = (machine.bucket / "clusters" / "c" / "l" / "trouble").iterdir()
    assert left.stem == subprocess.run(["hostname"], check=True, capture_output=True, text=True).stdout.strip()


def test_nobody_but_its_owner_reads_the_folder_of_the_machine(machine: Machine) -> None:
    assert machine.boot() == 0
    assert machine.root.stat().st_mode & 0o777 == 0o700


def test_the_script_leaves_room_for_its_exports_in_the_user_data() -> None:
    assert BOOT.stat().st_size <= 8_192


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_has_no_trap_of_the_shell_that_shellcheck_knows() -> None:
    subprocess.run(["shellcheck", str(BOOT)], check=True)
