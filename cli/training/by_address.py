"""`crpbot train lstm --coin all --address ...`: all coins and the Transformer on a Ray cluster that is there already.

The same job as on AWS, with this machine as the one that waits. Its files lie in a bucket, or in a folder that all
machines of the cluster reach; the models come home from there, and are judged here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cli.cluster.progress import say, unit_bars
from cli.training.by_aws import Home, judge_home
from cli.training.order import Order
from cli.training.plan import make_plan, order_of
from core.adapters.files.places import open_files
from core.errors import CrpbotError
from core.files import Files
from core.models.manifest import Kind
from training.cluster.artefacts import fetch_runs, fetch_whole
from training.cluster.mail import JobState, job_key
from training.cluster.order import JobOrder, write_order
from training.cluster.post import Job, News, is_sealed, read_units
from training.cluster.work import NOT_ALL_TRAINED
from training.identity import code_hash

FOLDER: Final = "cluster"  # of candles, checkpoints and models of jobs, beside that of the runs

Row = dict[str, Any]  # Any: what becomes JSON


def train_at_address(order: Order, bucket: str | None) -> list[Row]:
    """Each model, judged as if it had been trained here. What a job made before is not made again."""
    plan = make_plan(Kind.LSTM, replace(order, address=None))
    files = open_files(bucket or str(order.runs.parent.absolute() / FOLDER))
    job = order_of(plan, files, code_hash())
    say(f"job {job.id}: {len(job.units)} trainings, files in {files.url}")
    return judge_home(plan, make_models(files, job, lambda: _train(job, files, order)))


def make_models(files: Files, job: JobOrder, train: Callable[[], None]) -> Home:
    """The models, trained where they are not there yet; where some are missing, those that are whole."""
    if is_sealed(files, job.id):
        say("its models are there since an earlier run")
        return Home(fetch_runs(files, job.id), read_units(files, job.id))
    try:
        train()
    except CrpbotError as error:
        whole = fetch_whole(files, job.id) if error.reason == NOT_ALL_TRAINED else {}
        if not whole:
            raise
        say(error.detail)
        return Home(whole, read_units(files, job.id))
    return Home(fetch_runs(files, job.id), read_units(files, job.id))


def _train(job: JobOrder, files: Files, order: Order) -> None:
    from training.cluster.work import train_job

    files.write(job_key(job.id, "order.json"), write_order(job).encode())
    with unit_bars([unit.name for unit in job.units]) as hear:
        train_job(
            job,
            files.url,
            open_files,
            address=order.address,
            tell=lambda units: hear(News(Job(job.id, JobState.RUNNING, units=units))),
        )
