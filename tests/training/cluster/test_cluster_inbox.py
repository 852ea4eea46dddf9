"""Each letter in a cluster's inbox is run once, whatever is restarted, and what is told is what Ray said."""

import time
from datetime import datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from core.adapters.files.folder import FolderFiles
from tests.training.cluster.test_post import BOOT
from training.cluster.head_mail import HeadMail
from training.cluster.inbox import MOST_LOG_BYTES, JobsApi, Try, entrypoint, plan, read_log
from training.cluster.mail import JobState, cluster_key, read_state
from training.cluster.pace import Pace, read_pace
from training.cluster.ray_machines import Refusal, launch_problems, read_refusals

ONE = "train-lstm-1"


def tried(name: str, letter: str, state: JobState, at: float = 1.0) -> Try:
    return Try(name, ONE, letter, state, at)


def test_a_letter_that_ray_does_not_know_is_submitted_under_the_name_of_its_job() -> None:
    todo = plan({ONE: "a"}, (), ())
    assert todo.submit == ((ONE, ONE, "a"),)
    assert todo.states == {ONE: JobState.WAITING}


@given(st.sampled_from(JobState))
def test_a_letter_that_ray_knows_is_not_submitted_again(state: JobState) -> None:
    todo = plan({ONE: "a"}, (), [tried(ONE, "a", state)])
    assert not todo.submit
    assert todo.states == {ONE: state}


def test_a_letter_written_again_waits_until_the_job_is_over_and_is_then_a_second_try() -> None:
    running = plan({ONE: "b"}, (), [tried(ONE, "a", JobState.RUNNING)])
    assert not running.submit
    assert running.states == {ONE: JobState.RUNNING}
    failed = plan({ONE: "b"}, (), [tried(ONE, "a", JobState.FAILED)])
    assert failed.submit == ((f"{ONE}-try-2", ONE, "b"),)
    assert failed.states == {ONE: JobState.WAITING}
    again = plan({ONE: "b"}, (), [tried(f"{ONE}-try-2", "b", JobState.RUNNING, 2.0), tried(ONE, "a", JobState.FAILED)])
    assert not again.submit
    assert again.states == {ONE: JobState.RUNNING}


def test_a_job_is_stopped_while_it_runs_and_never_begun_when_it_waits() -> None:
    assert plan({ONE: "a"}, [ONE], [tried(ONE, "a", JobState.RUNNING)]).stop == (ONE,)
    over = plan({ONE: "a"}, [ONE], [tried(ONE, "a", JobState.STOPPED)])
    assert not over.stop
    waiting = plan({ONE: "a"}, [ONE], ())
    assert not waiting.submit
    assert waiting.states == {ONE: JobState.STOPPED}


def test_what_somebody_started_by_hand_is_left_alone() -> None:
    todo = plan({ONE: "a"}, (), [Try("", "", "", JobState.RUNNING, 1.0)])
    assert todo.submit == ((ONE, ONE, "a"),)
    assert list(todo.states) == [ONE]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_whatever_order_letters_and_ends_come_in_no_letter_runs_twice(events: list[tuple[str, bool]]) -> None:
    tries: list[Try] = []
    for letter, has_ended in events:
        for name, job, stamp in plan({ONE: letter}, (), tries).submit:
            tries.append(Try(name, job, stamp, JobState.RUNNING, float(len(tries))))
        if has_ended:
            tries = [each._replace(state=JobState.FAILED) for each in tries]
    assert len({each.id for each in tries}) == len(tries)
    assert len({each.letter for each in tries}) == len(tries)
    assert sum(not each.state.is_over for each in tries) <= 1


def test_a_job_is_named_to_the_shell_as_it_is() -> None:
    assert entrypoint("/v/python", "s3://b/p q", ONE) == f"/v/python -m training.cluster.job 's3://b/p q' {ONE}"


def test_of_a_long_log_the_last_part_is_kept_from_a_whole_line_on(tmp_path: Path) -> None:
    lines = [f"line {number}\n".encode() for number in range(40_000)]
    (tmp_path / f"job-driver-{ONE}.log").write_bytes(b"".join(lines))
    content = read_log(tmp_path, ONE)
    assert len(content) <= MOST_LOG_BYTES
    assert content.splitlines(keepends=True)[-1] == lines[-1]
    assert content.splitlines(keepends=True)[0] in lines


def test_a_job_that_printed_nothing_has_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path, ONE) == b""


def test_why_there_are_no_machines_is_told_once_in_the_words_of_aws_newest_last(tmp_path: Path) -> None:
    log = tmp_path / "monitor.log"
    spot = "INFO node_provider.py -- Failed to launch 1 nodes of type gpu-spot: Node Launch Exception (Max): too many\n"
    other = "INFO node_provider.py -- Failed to launch 2 nodes of type gpu-ondemand: Node Launch Exception (Vcpu): 0\n"
    log.write_text(f"{spot}INFO other words\n{other}{spot}")
    assert launch_problems(read_refusals(log)) == ("gpu-ondemand: (Vcpu): 0", "gpu-spot: (Max): too many")
    assert read_refusals(tmp_path / "none.log") == ()


def test_each_refusal_has_the_time_of_its_line(tmp_path: Path) -> None:
    log = tmp_path / "monitor.log"
    words = "INFO node_provider.py:492 -- Failed to launch 1 nodes of type gpu-spot: Node Launch Exception (Max): no"
    at = datetime(2026, 11, 21, 23, 30, 14).astimezone()
    log.write_text(f"2026-11-21 23:30:14,243\t{words}\nINFO other words\n{words}\n")
    assert read_refusals(log) == (
        Refusal("gpu-spot", at.timestamp(), "(Max): no"),
        Refusal("gpu-spot", 0.0, "(Max): no"),
    )


def test_the_pace_is_the_house_s_but_where_the_environment_says_otherwise() -> None:
    assert read_pace({}) == Pace()
    assert read_pace({"CRPBOT_LOOK_SECONDS": "0.5", "CRPBOT_ROLE": "head"}) == Pace(look=0.5)


class OnDisk(FolderFiles):
    """Remembers when it was listed, as the clock of the head had it."""

    listed_at = 0.0

    def stamps(self, under: str = "", *, deep: bool = True) -> dict[str, str]:
        self.listed_at = time.time()
        return super().stamps(under, deep=deep)


def test_what_a_head_says_is_as_old_as_the_letters_that_it_has_read(tmp_path: Path) -> None:
    files = OnDisk(tmp_path)
    mail = HeadMail(files, BOOT, JobsApi(1, tmp_path / "token"), tmp_path, patience=1.0)
    begun = time.time()
    mail.post(None)
    state = read_state(files.read(cluster_key(BOOT.cluster, BOOT.launch, "state.json"), most=9_999))
    assert begun <= state.at <= files.listed_at, "whoever compares it with a letter knows whether that was read"
