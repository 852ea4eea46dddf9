"""Jobs between the bucket and Ray: each letter in the inbox is run once, however often its head is restarted.

A letter is known by its stamp, and Ray keeps that stamp with the job it was submitted for. A letter that was written
again after its job failed is a new try of the same job.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, NamedTuple

from core.errors import Code, CrpbotError
from training.cluster.mail import JobState

TIMEOUT_SECONDS: Final = 20.0  # of a call on loopback: Ray itself waits 10 for the agent that starts jobs
MOST_BYTES: Final = 20_000_000
MOST_LOG_BYTES: Final = 200_000  # of a job's log in the bucket: its last part is what people read
STATES: Final = {
    "PENDING": JobState.WAITING,
    "RUNNING": JobState.RUNNING,
    "STOPPED": JobState.STOPPED,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
}


class Try(NamedTuple):
    """A job as Ray knows it. Whatever was started by hand has no job of ours, but it runs."""

    id: str  # Ray's own, for our first try of a job the job's
    job: str
    letter: str  # the stamp of what it was submitted for
    state: JobState
    at: float  # when it was submitted


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about the letters, and how each job stands."""

    submit: tuple[tuple[str, str, str], ...]  # id of the try, job, stamp of the letter
    stop: tuple[str, ...]  # ids of tries
    states: dict[str, JobState]


def plan(letters: Mapping[str, str], stops: Iterable[str], tries: Sequence[Try]) -> Plan:
    """Compares the letters (job -> stamp) with what Ray knows. The same again while a job runs is no second job."""
    stopped = set(stops)
    submit, stop, states = [], [], {}
    for job, stamp in letters.items():
        own = sorted((each for each in tries if each.job == job), key=lambda each: each.at)
        last = own[-1] if own else None
        is_new = (last is None or last.state.is_over) and all(each.letter != stamp for each in own)
        if is_new and job not in stopped:
            submit.append((job if last is None else f"{job}-try-{len(own) + 1}", job, stamp))
        if last is not None and not last.state.is_over and job in stopped:
            stop.append(last.id)
        if is_new:
            states[job] = JobState.STOPPED if job in stopped else JobState.WAITING
        elif last is not None:
            states[job] = last.state
    return Plan(tuple(submit), tuple(stop), states)


def entrypoint(python: str, url: str, job: str) -> str:
    """What Ray runs for a job, on the head."""
    return shlex.join([python, "-m", "training.cluster.job", url, job])


class JobsApi:
    """Ray's jobs API on loopback. UNAVAILABLE where it does not answer."""

    def __init__(self, port: int, token_file: Path) -> None:
        self._port = port
        self._token_file = token_file

    def tries(self) -> tuple[Try, ...]:
        """Everything that runs, waits or ran."""
        found = json.loads(self._ask("GET", "/api/jobs/"))
        tries = []
        for each in found:
            kept = each.get("metadata") or {}
            at = float(each.get("start_time") or 0.0) / 1_000.0
            state = STATES.get(each["status"], JobState.RUNNING)  # a state that is new to us is not over
            tries.append(Try(each.get("submission_id") or "", kept.get("job", ""), kept.get("letter", ""), state, at))
        return tuple(tries)

    def submit(self, name: str, *, command: str, job: str, letter: str) -> None:
        """A try of that name is submitted once: FAILED_PRECONDITION where Ray will not have it, or has it already."""
        body = {"submission_id": name, "entrypoint": command, "metadata": {"job": job, "letter": letter}}
        self._ask("POST", "/api/jobs/", body)

    def stop(self, name: str) -> None:
        """Asks it to end: SIGTERM first, and Ray itself makes sure of it."""
        self._ask("POST", f"/api/jobs/{name}/stop", {})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:  # Any: JSON
        headers = {"Authorization": f"Bearer {self._token_file.read_text()}", "Content-Type": "application/json"}
        connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read(MOST_BYTES)
        except (OSError, HTTPException) as error:
            detail = f"Ray's jobs API gives no answer to {path}: {error or type(error).__name__}; remedy: its log"
            raise CrpbotError(Code.UNAVAILABLE, detail, reason="RAY_SILENT") from error
        finally:
            connection.close()
        if answer.status != HTTPStatus.OK:
            last = content.decode(errors="replace").strip().splitlines()[-1:]
            detail = f"Ray's jobs API answers {path} with status {answer.status}: {''.join(last)[:300]}"
            raise CrpbotError(Code.FAILED_PRECONDITION, f"{detail}; remedy: the log of the job", reason="RAY_REFUSES")
        return content


def read_log(folder: Path, name: str) -> bytes:
    """The last part of what a try printed, from a whole line on; empty before it printed."""
    file = folder / f"job-driver-{name}.log"
    try:
        size = file.stat().st_size
        with file.open("rb") as log:
            log.seek(max(0, size - MOST_LOG_BYTES))
            content = log.read(MOST_LOG_BYTES)
    except OSError:
        return b""
    return content if size <= MOST_LOG_BYTES else content.partition(b"\n")[2]
