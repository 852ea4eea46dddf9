"""`crpbot cluster submit`, `logs` and `stop`: a job is given to a cluster, read, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cli.cluster.options import AwsOptions
from cli.cluster.progress import say
from cli.cluster.site import Site, open_site
from core.errors import Code, CrpbotError
from training.cluster.mail import Boot
from training.cluster.post import Job, follow, newest_launch, read_job, stop, submit, utc

if TYPE_CHECKING:
    from cli.training.plan import Plan
    from training.cluster.order import JobOrder

Row = dict[str, Any]  # Any: what becomes JSON


def submit_plan(plan: Plan, options: AwsOptions, *, address: str | None) -> Row:
    """Gives a job to the cluster that is up, or to any Ray cluster by the address of its jobs API."""
    from cli.training.plan import pack, send
    from core.adapters.files.folder import FolderFiles

    site = open_site(options)
    boot = None if address else site.running()
    if address is None and boot is None:
        raise _not_up(site, "crpbot cluster up")
    with TemporaryDirectory() as folder:
        here = FolderFiles(Path(folder))
        job, code = pack(plan, here)
        if boot is not None:
            check_code(boot, job)
        sent = send(job, code, here, site.files)
    say(f"{sent:,} bytes of code and candles sent to {site.url}")
    if boot is not None:
        submit(site.files, boot, job, tell=say)
        where = boot.cluster
    else:
        from training.cluster.anywhere import submit_to

        where = address or ""
        submit_to(where, site.files, job, code)
    return {"job": job.id, "cluster": where, "units": [unit.name for unit in job.units], "bucket": site.url}


def check_code(boot: Boot, job: JobOrder) -> None:
    """A cluster runs the code that it was launched with."""
    if boot.code != job.code:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"cluster {boot.cluster} runs code {boot.code[:12]}, the job is of {job.code[:12]}: the code here was "
            "changed since the launch; remedy: crpbot cluster down, then launch it again",
            reason="OTHER_CODE",
        )


def read_logs(job: str, options: AwsOptions, *, is_followed: bool, hear: Callable[[str], None]) -> Row:
    """What a job printed; followed, what it prints until it is over."""
    site = open_site(options)
    boot = _launch_of(job, site)
    seen = read_job(site.files, boot, job, with_log=True)
    hear(seen.log)
    if is_followed:
        for news in follow(site.files, boot, job, is_up=lambda: site.head(boot) is not None, with_log=True):
            hear(newer(seen.log, news.job.log))
            if news.trouble:
                say(news.trouble)
            seen = news.job
    return job_row(seen)


def stop_job(job: str, options: AwsOptions) -> Row:
    """Asks for the end of a job that waits or runs; of one that is over it only tells how it ended."""
    site = open_site(options)
    boot = _launch_of(job, site)
    seen = read_job(site.files, boot, job)
    is_over = seen.sealed or (seen.state is not None and seen.state.is_over)
    if not is_over:
        if site.head(boot) is None:
            raise _not_up(site, f"none is needed, job {job} ended with its cluster")
        stop(site.files, boot, job)
    return {**job_row(seen), "asked": not is_over}


def newer(before: str, now: str) -> str:
    """What a log has that it had not; of one whose beginning is cut off, what follows the last line known.

    >>> newer("a\\nb\\n", "a\\nb\\nc\\n"), newer("a\\nb\\n", "b\\nc\\n"), newer("a\\n", "x\\n")
    ('c\\n', 'c\\n', 'x\\n')
    """
    if now.startswith(before):
        return now[len(before) :]
    last = before.rstrip("\n").rpartition("\n")[2]
    _, found, rest = now.rpartition(f"{last}\n")
    return rest if last and found else now


def _launch_of(job: str, site: Site) -> Boot:
    """The last launch that the job was given to."""
    boot = newest_launch(site.files, site.cluster.name, job=job)
    if boot is None:
        raise CrpbotError(
            Code.NOT_FOUND,
            f"no job {job[:64]!r} was ever given to {site.cluster.name} in {site.url}; remedy: `crpbot cluster status` "
            "lists those of the cluster that is up",
            reason="UNKNOWN_JOB",
        )
    return boot


def _not_up(site: Site, remedy: str) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"cluster {site.cluster.name} is not up in {site.cluster.region}; remedy: {remedy}",
        reason="CLUSTER_NOT_UP",
    )


def job_row(job: Job) -> Row:
    """A job for programs."""
    return {
        "job": job.id,
        "state": None if job.state is None else str(job.state),
        "sealed": job.sealed,
        "given_at": None if job.given_at is None else utc(job.given_at),
        "units": {name: asdict(unit) for name, unit in job.units.items()},
        "log": job.log,
    }
