"""`crpbot cluster`: every command in the order in which a person uses them, and what each refuses."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.cluster.jobs import newer
from cli.cluster.tables import print_estimate
from cli.main import app
from core.adapters.files.places import open_files
from core.errors import Code, CrpbotError
from tests.cli.conftest import ROOT, Crpbot
from tests.cli.played_head import PlayedHead
from tests.fake_aws.server import FakeAws
from tests.training.cluster.test_cluster_end import HomeOnly, start
from tests.training.launching import LOOK_SECONDS, served
from training.cluster.cloud import Cloud
from training.cluster.mail import JobState
from training.cluster.price_list import priced_regions

LSTM = ["lstm", "--coin", "BTC", "--days", "8", "--epochs", "1", "--hidden", "4"]
BUCKET = "s3://crpbot-123456789012-us-east-1/training"
ESTIMATE = {
    "cluster": "crpbot-training",
    "region": "us-east-1",
    "trainings": 2,
    "lines": [
        {"what": "head, t3.large", "amount": 0.5, "unit": "h", "price": 0.0832, "dollars": 0.0416},
        {"what": "workers, g4dn.xlarge spot", "amount": 1.25, "unit": "h", "price": 0.21, "dollars": 0.2625},
        {"what": "disks", "amount": 1_145.0, "unit": "GB h", "price": 0.00011, "dollars": 0.126},
    ],
    "hours": 0.5,
    "dollars": 0.4301,
    "highest_rate": 2.5,
    "most_hours": 4.0,
    "most_dollars": 10.0,
    "assumptions": ["prices of us-east-1 as noted on 2026-11-21, not live"],
    "fits": True,
    "limits": {"hours": 4.0, "dollars": 12.0, "idle_minutes": 10.0},
}
TABLE = """\
2 trainings on crpbot-training in us-east-1: what to expect

  Part                               Amount     Price   Dollars
 ───────────────────────────────────────────────────────────────
  head, t3.large                     0.50 h    0.0832      0.04
  workers, g4dn.xlarge spot          1.25 h      0.21      0.26
  disks                       1,145.00 GB h   0.00011      0.13
  expected                           0.50 h                0.43

prices of us-east-1 as noted on 2026-11-21, not live
hard limits: ends after 4.00 hours whatever happens, which at the highest rate of 2.50 dollars an hour is 10.00 \
dollars (asked for: at most 4 hours and 12 dollars), and 10 minutes after the last work
"""

Row = dict[str, Any]


@pytest.fixture
def aws(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """An account that was never prepared, a checkout's cluster file, and looks that follow each other at once."""
    monkeypatch.setattr("cli.cluster.site.Cloud", partial(Cloud, look_seconds=LOOK_SECONDS))
    (empty_folder / "ray_cluster.yaml").write_text((ROOT / "ray_cluster.yaml").read_text())
    with served(empty_folder / "aws") as aws:
        yield aws


def ask(*words: str, status: int = 0) -> Any:
    """What a command prints as JSON."""
    done = CliRunner().invoke(app, ["cluster", *words, "--json"], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def refusal(*words: str) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        CliRunner().invoke(app, ["cluster", *words], catch_exceptions=False)
    return caught.value


def until(holds: Callable[[], bool]) -> None:
    """Waits for what a played head does by itself; what never comes fails the test instead of hanging it."""
    hangs_at = time.monotonic() + 300.0
    while not holds():
        assert time.monotonic() < hangs_at, "it never came"
        time.sleep(0.05)


def test_the_estimate_is_a_table_with_its_limits(capsys: pytest.CaptureFixture[str]) -> None:
    print_estimate(ESTIMATE)
    told = capsys.readouterr().out
    assert [line.rstrip() for line in told.splitlines()] == TABLE.splitlines()
    print_estimate({**ESTIMATE, "fits": False, "hours": 6.0})
    assert "expected to take 6.0 hours and would be ended after 4.0" in " ".join(capsys.readouterr().out.split())


def test_a_cost_is_told_without_credentials(empty_folder: Path) -> None:
    (empty_folder / "ray_cluster.yaml").write_text((ROOT / "ray_cluster.yaml").read_text())
    row = ask("cost", *LSTM)
    assert row["trainings"] == 1
    assert row["dollars"] == pytest.approx(sum(line["dollars"] for line in row["lines"]))
    assert row["most_hours"] <= 4.0
    more = ask("cost", "lstm", "--coin", "all", "--days", "8")
    assert more["trainings"] == 11, "ten coins and the Transformer"
    assert more["dollars"] > row["dollars"]
    assert ask("cost", *LSTM, "--max-dollars", "1")["most_dollars"] == pytest.approx(1.0)
    assert ask("cost", *LSTM, "--region", "eu-west-1")["region"] == "eu-west-1"
    assert "no price is noted for the region mars-north-1" in refusal("cost", *LSTM, "--region", "mars-north-1").detail


def test_without_the_file_or_credentials_the_remedy_is_named(
    crpbot: Crpbot, empty_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "no")}
    ended = crpbot("cluster", "status", **nowhere)
    assert ended.returncode == 1
    assert "ray_cluster.yaml" in ended.stderr
    (tmp_path / "ray_cluster.yaml").write_text((ROOT / "ray_cluster.yaml").read_text())
    words = "there are no AWS credentials, or half of them; remedy: sign in"
    ended = crpbot("cluster", "prepare", **nowhere)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    for command in (["up", "--yes"], ["status"], ["down"]):
        assert words in refusal(*command).detail


def test_options_that_do_not_fit_are_refused(empty_folder: Path) -> None:
    (empty_folder / "ray_cluster.yaml").write_text((ROOT / "ray_cluster.yaml").read_text())
    assert "lstm, transformer, ppo" in refusal("cost", "gru").detail
    assert "name one with --coin BTC" in refusal("cost", "ppo", "--coin", "all").detail
    assert "--run and --address are of a training here" in refusal("cost", "lstm", "--run", "mine").detail
    assert "unknown symbol" in refusal("cost", "lstm", "--coin", "FOO").detail
    assert "0 is no limit of a launch" in refusal("cost", *LSTM, "--max-hours", "0").detail
    alone = CliRunner().invoke(app, ["train", "lstm", "--days", "8", "--yes"])
    assert isinstance(alone.exception, CrpbotError)
    assert "add --aws, or leave them out" in alone.exception.detail
    assert CliRunner().invoke(app, ["cluster", "cost", "lstm", "--epochs", "0"]).exit_code == 2


def test_nothing_is_launched_where_nobody_can_be_asked(aws: FakeAws) -> None:
    assert refusal("up").reason == "NOBODY_TO_ASK"
    assert "crpbot cluster prepare" in refusal("up", "--yes").detail
    assert not aws.asked("RunInstances")


def test_a_job_needs_a_cluster_that_is_up(aws: FakeAws) -> None:
    ask("prepare")
    error = refusal("submit", *LSTM)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CLUSTER_NOT_UP")
    assert "crpbot cluster up" in error.detail
    for command in ("logs", "stop"):
        assert refusal(command, "train-lstm-0000000000000000").code is Code.NOT_FOUND
    ended = ask("down")
    assert ended["instances"] == [], "nothing there is no failure"
    seen = ask("status")
    assert seen["instances"] == []
    assert set(seen["regions"]) == set(ended["regions"]) == set(priced_regions())
    assert seen["unseen"] == []


def test_a_cluster_elsewhere_is_seen_and_a_region_that_is_closed_is_told_of(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask("prepare")
    theirs = start(Cloud("eu-central-1", look_seconds=LOOK_SECONDS), kind="head")
    (seen,) = ask("status")["instances"]
    assert (seen["id"], seen["region"]) == (theirs, "eu-central-1")
    assert ask("down")["instances"] == [theirs]
    monkeypatch.setattr("cli.cluster.site.Cloud", partial(HomeOnly, look_seconds=LOOK_SECONDS))
    seen = ask("status")
    assert seen["regions"] == ["us-east-1"]
    shown = CliRunner().invoke(app, ["cluster", "status"], catch_exceptions=False).stdout
    assert "eu-west-1 was not looked at: " in shown
    assert ask("down")["regions"] == ["us-east-1"]


@pytest.mark.slow
def test_a_cluster_is_launched_given_a_job_looked_at_and_ended(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = ask("prepare")
    assert made["bucket"] == BUCKET
    assert ask("prepare")["made"] == []
    with PlayedHead(lambda: open_files(BUCKET), "crpbot-training", end=None) as played:
        launched = ask("up", "--yes", "--idle-minutes", "7")
        assert launched["idle_minutes"] == 7.0
        given = ask("submit", *LSTM)
        assert given["units"] == ["lstm-BTC-USD"]
        error = refusal("submit", *LSTM)
        assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "JOB_TWICE")
        until(lambda: played.jobs == [given["job"]])
        logs = ask("logs", given["job"])
        assert logs["state"] in {"waiting", "running"}
        played.end = JobState.FAILED
        followed = CliRunner().invoke(app, ["cluster", "logs", given["job"], "--follow"], catch_exceptions=False)
        assert followed.exit_code == 1
        assert followed.stdout.startswith("epoch 1\n")
        assert f"{given['job']}: failed" in followed.stdout
        seen = ask("status")
    assert (seen["launch"], seen["phase"], seen["workers"]) == (launched["launch"], "ready", {"gpu-spot": 1})
    assert [(each["is_head"], each["state"]) for each in seen["instances"]] == [(True, "running")]
    assert len(seen["volumes"]) == 1
    assert seen["jobs"] == {given["job"]: "failed"}
    assert 0.0 < seen["minutes_left"] <= 240.0
    assert 0.0 <= seen["dollars_so_far"] < 0.1
    assert refusal("up", "--yes").reason == "CLUSTER_IS_UP"
    shown = CliRunner().invoke(app, ["cluster", "status"], catch_exceptions=False).stdout
    assert "so far about 0.0" in " ".join(shown.split())
    ended = ask("down")
    assert len(ended["instances"]) == 1
    assert (ended["left_instances"], ended["left_volumes"]) == (0, 0)
    assert (aws.alive(), aws.volumes()) == ([], [])
    assert "0 machines and 0 disks" in CliRunner().invoke(app, ["cluster", "status"]).stdout


@pytest.mark.slow
def test_a_job_is_stopped_by_its_name_and_the_cluster_stays(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ask("prepare")
    with PlayedHead(lambda: open_files(BUCKET), "crpbot-training", end=None) as played:
        launched = ask("up", "--yes")
        job = ask("submit", *LSTM)["job"]
        letter = f"clusters/crpbot-training/{launched['launch']}/stop/{job}"
        until(lambda: ask("logs", job)["state"] == "running")
        assert not open_files(BUCKET).stamps(letter)
        shown = CliRunner().invoke(app, ["cluster", "stop", job], catch_exceptions=False).stdout
        assert f"{job}: was asked to stop; what it reached is kept\n" in shown
        assert open_files(BUCKET).stamps(letter)
        played.end = JobState.STOPPED
        until(lambda: ask("logs", job)["state"] == "stopped")
        open_files(BUCKET).remove(letter)
        assert ask("stop", job)["asked"] is False, "it is over"
        assert f"{job}: stopped" in CliRunner().invoke(app, ["cluster", "stop", job], catch_exceptions=False).stdout
        assert not open_files(BUCKET).stamps(letter)
        assert aws.alive(), "whoever stops a job may give another one"
        played.end = None
        until(lambda: ask("logs", job)["state"] == "running")
    ask("down")
    error = refusal("stop", job)
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CLUSTER_NOT_UP")
    assert f"job {job} ended with its cluster" in error.detail


def test_a_log_whose_beginning_was_cut_off_goes_on_after_the_last_line_known() -> None:
    assert newer("", "a\n") == "a\n"
    assert newer("a\nb\nc\n", "b\nc\nd\n") == "d\n"
    assert newer("a\n", "a\n") == ""
