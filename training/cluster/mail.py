"""What the laptop and the cluster tell each other, all of it through the bucket: nobody connects to anybody.

code/<sha256>.zip                           the programs, by their hash
data/<sha256>/...                           a snapshot of candles, by its hash (training.snapshot)
clusters/<cluster>/<launch>/boot.json       what a machine needs to know when it boots        laptop -> cluster
clusters/<cluster>/<launch>/autoscaler.json Ray's own configuration, ids resolved             laptop -> head
clusters/<cluster>/<launch>/inbox/<job>     a job to be submitted                             laptop -> head
clusters/<cluster>/<launch>/stop/<job>      a job to be stopped                               laptop -> head
clusters/<cluster>/<launch>/head.json       where the head listens, for workers alone         head -> workers
clusters/<cluster>/<launch>/token           Ray's token, likewise
clusters/<cluster>/<launch>/state.json      how the cluster is, every few seconds             head -> laptop
clusters/<cluster>/<launch>/trouble/<instance>.txt   last words of a machine whose boot failed
jobs/<job>/order.json                       what is to be trained                             laptop -> cluster
jobs/<job>/progress.json                    how far each unit is                              job -> laptop
jobs/<job>/log.txt                          what the job printed, its last part               head -> laptop
jobs/<job>/artefacts.json                   once no unit is left to be made: every file with its sha256
jobs/<job>/models/<unit>/...                one trained model (training.cluster.artefacts)
runs/<job>/<unit>/...                       Ray Train's checkpoints: a unit that was interrupted goes on from here
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from training.cluster.order import JobOrder

MOST_TEXT_BYTES = 5_000_000  # of any of the texts above


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  # in the inbox, or not begun by Ray yet
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED}


@dataclass(frozen=True, slots=True)
class Boot:
    """What a machine of a cluster is told when it boots. Instants are seconds since 1970."""

    cluster: str
    launch: str  # of this one cluster of that name, e.g. 20261121T223300Z-1f3a
    region: str
    url: str  # s3://bucket/prefix of everything here
    code: str  # sha256 of the bundle
    launched_at: float
    ends_at: float  # the hard lifetime: whatever happens, no machine of the launch lives longer
    idle_minutes: float  # without a job and a worker: then the head ends itself
    head_type: str  # names of node types in ray_cluster.yaml


@dataclass(frozen=True, slots=True)
class State:
    """How a cluster is, as its head says every few seconds."""

    at: float
    phase: str  # starting, ready, ending
    workers: dict[str, int] = field(default_factory=dict)  # machines of Ray that are alive, by node type
    jobs: dict[str, JobState] = field(default_factory=dict)
    problems: tuple[str, ...] = ()  # why machines could not be had, in words of AWS's, newest last
    ends_at: float = 0.0  # at the latest
    idle_since: float | None = None
    ending: str = ""  # why the head ends itself


@dataclass(frozen=True, slots=True)
class UnitProgress:
    """How far one unit is."""

    done: int = 0
    total: int = 0
    words: str = "waits for a machine"
    rate: float = 0.0  # windows (or candles) a second
    seconds_left: float | None = None
    fault: str = ""  # why it was not trained; the others go on
    refused: bool = False  # for good, by its candles or its recipe: no other try makes it


def cluster_key(cluster: str, launch: str, name: str) -> str:
    """A name of a launch."""
    return f"clusters/{cluster}/{launch}/{name}"


def job_key(job: str, name: str) -> str:
    """A name of a job."""
    return f"jobs/{job}/{name}"


def run_key(order: JobOrder) -> str:
    """Below it lie the checkpoints of all units of a job."""
    return f"runs/{order.id}"


def write_boot(boot: Boot) -> bytes:
    return json.dumps(asdict(boot), indent=1).encode()


def read_boot(content: bytes) -> Boot:
    return Boot(**json.loads(content))


def write_state(state: State) -> bytes:
    return json.dumps(asdict(state)).encode()


def read_state(content: bytes) -> State:
    found = json.loads(content)
    found["jobs"] = {job: JobState(state) for job, state in found["jobs"].items()}
    found["problems"] = tuple(found["problems"])
    return State(**found)


def write_progress(units: dict[str, UnitProgress]) -> bytes:
    return json.dumps({name: asdict(each) for name, each in units.items()}).encode()


def read_progress(content: bytes) -> dict[str, UnitProgress]:
    return {name: UnitProgress(**each) for name, each in json.loads(content).items()}
