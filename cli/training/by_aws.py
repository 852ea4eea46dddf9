"""`crpbot train ... --aws`: what it will cost, a cluster that trains and is ended again, and the judgement at home.

The cluster is ended before anything is judged: judging needs no machine that costs. Whatever happens in between, what
was begun is ended; a job that was left alone is found again by the same command.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cli.cluster.guard import Guard
from cli.cluster.jobs import check_code
from cli.cluster.life import estimate_row
from cli.cluster.options import AwsOptions
from cli.cluster.progress import say, unit_bars
from cli.cluster.site import Site, agree, begin, ended_unless_kept, limits_of, open_site
from cli.cluster.tables import print_estimate
from cli.models.place import runs_of
from cli.training.order import Order
from cli.training.plan import Plan, make_plan, pack, send
from cli.training.train import REFUSED
from core.adapters.files.folder import FolderFiles
from core.errors import Code, CrpbotError
from core.models.manifest import Kind
from training.cluster.artefacts import fetch_runs, fetch_whole
from training.cluster.launcher import wait_ready
from training.cluster.mail import Boot, JobState, UnitProgress, cluster_key
from training.cluster.order import JobOrder, Unit
from training.cluster.post import (
    Job,
    ends_by_itself,
    follow,
    is_sealed,
    read_cluster_state,
    read_job,
    read_units,
    submit,
)

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.trained import Run

NOT_MADE: Final = "the cluster made no model of it; remedy: the same command again makes just what is missing"
LOG_LINES: Final = 10  # of a job that failed: its last words
WHEN_LOST: Final = (
    "this command now ends the cluster as soon as AWS answers, unless it joined one that has other jobs too; if nobody "
    "answers, {}; remedy: once connected, run the same command again: the job goes on from its last checkpoints"
)

Row = dict[str, Any]  # Any: what becomes JSON


class Home(NamedTuple):
    """What came home: the models, and how each training ended."""

    runs: dict[str, Run]
    units: dict[str, UnitProgress]


def train_on_aws(kind: Kind, order: Order, options: AwsOptions, site: Site) -> list[Row]:
    """Each model, judged as if it had been trained here; of a job that was left alone, what it is called."""
    limits = limits_of(options)
    site.tell()
    begun = time.monotonic()
    plan = make_plan(kind, order)
    with TemporaryDirectory() as folder:
        here = FolderFiles(Path(folder))
        job, code = pack(plan, here)
        say(f"job {job.id}: {len(job.units)} trainings on {sum(each.count for each in plan.histories):,} candles")
        if is_sealed(site.files, job.id):
            say("its models are ready since an earlier run: nothing is launched")
            home = _fetch(site, job, read_units(site.files, job.id))
        else:
            boot = _going_on(site, job)
            if boot is None:
                print_estimate(estimate_row(plan, site.cluster, limits), stderr=True)
                agree(options, "Launch the cluster?")
                say(f"{send(job, code, here, site.files):,} bytes of code and candles sent")
            found = _train(site, job, code, boot, options)
            if isinstance(found, Boot):
                return [_left(job, found)]
            home = found
    rows = judge_home(plan, home)
    return [row if REFUSED in row else {**row, "seconds": round(time.monotonic() - begun, 1)} for row in rows]


def _train(site: Site, job: JobOrder, code: bytes, boot: Boot | None, options: AwsOptions) -> Home | Boot:
    """From the launch to the models; or with `detach` only to where the cluster has the job."""
    with Guard() as guard:
        is_new = boot is None
        if boot is None:
            boot = begin(site, limits_of(options), guard, packed=(code, job.code))
        others = partial(_others, site, boot, job)
        with ended_unless_kept(site, boot, guard, others=tuple if is_new else others) as keep:
            if is_new:
                wait_ready(boot, site.cloud, site.files, say)
                submit(site.files, boot, job, tell=say)
            if options.detach:
                keep()
                return boot
            seen = _follow(site, boot, job)
            return _fetch(site, job, seen.units) if seen.sealed else _salvage(site, boot, job, seen)


def _going_on(site: Site, job: JobOrder) -> Boot | None:
    """The cluster that is up and works on this very job."""
    boot = site.running()
    seen = None if boot is None else read_job(site.files, boot, job.id)
    if boot is None or seen is None or not (seen.sealed or seen.state in {JobState.WAITING, JobState.RUNNING}):
        return None  # sealed: it was done while we looked
    check_code(boot, job)
    say(f"cluster {boot.cluster} works on it already (launch {boot.launch}); {ends_by_itself(boot)}")
    return boot


def _others(site: Site, boot: Boot, job: JobOrder) -> list[str]:
    """Jobs of others that a cluster works on which was up before this command."""
    state = read_cluster_state(site.files, boot)
    if not _is_up(site, boot) or (state is not None and state.phase == "ending"):
        return []
    under = cluster_key(boot.cluster, boot.launch, "inbox/")
    names = {name.removeprefix(under) for name in site.files.stamps(under)} | set(state.jobs if state else ())
    seen = [read_job(site.files, boot, name) for name in sorted(names - {job.id})]
    return [each.id for each in seen if each.state is not None and not each.state.is_over and not each.sealed]


def _is_up(site: Site, boot: Boot) -> bool:
    return site.head(boot) is not None


def _follow(site: Site, boot: Boot, job: JobOrder) -> Job:
    """Until the job is over, however it ends."""
    seen = Job(job.id, None)
    with unit_bars([unit.name for unit in job.units]) as hear:
        is_up = partial(_is_up, site, boot)
        for news in follow(site.files, boot, job.id, is_up=is_up, when_lost=WHEN_LOST.format(ends_by_itself(boot))):
            seen = news.job
            hear(news)
    return seen


def _fetch(site: Site, job: JobOrder, units: dict[str, UnitProgress]) -> Home:
    """The models, each piece of them checked against its hash."""
    runs = fetch_runs(site.files, job.id)
    say(f"{len(runs)} of {len(job.units)} models are here, hashes as they were made")
    return Home(runs, units)


def _salvage(site: Site, boot: Boot, job: JobOrder, seen: Job) -> Home:
    """What is whole of a job that failed; an error with its last words where nothing is."""
    runs = fetch_whole(site.files, job.id)
    if not runs:
        raise _failed(seen, read_job(site.files, boot, job.id, with_log=True).log)
    say(f"the job is {seen.state}: {len(runs)} of {len(job.units)} models are here, hashes as they were made")
    return Home(runs, seen.units)


def judge_home(plan: Plan, home: Home) -> list[Row]:
    """Each model on the candles here, which must be those that it has learned from."""
    rows = []
    for stage in plan.stages:
        for unit in stage.units:
            run = home.runs.get(unit.name)
            if run is None:
                fault = home.units.get(unit.name, UnitProgress()).fault or NOT_MADE
                rows.append(_refused(unit, fault))
                continue
            try:
                rows.append(_judge(plan, unit, run, stage.order))
            except CrpbotError as error:  # it costs the others nothing
                rows.append(_refused(unit, error.detail))
    return rows


def _judge(plan: Plan, unit: Unit, run: Run, order: Order) -> Row:
    from cli.training.judging import keep_and_judge
    from training.checkpoint import METRICS, write_metrics

    datasets = _datasets(plan, unit, run)
    folder = runs_of(order.models) / run.manifest.run
    folder.mkdir(parents=True, exist_ok=True)
    write_metrics(folder / METRICS, run.history)  # the page draws how the loss fell
    return keep_and_judge(run, datasets, order)


def _refused(unit: Unit, why: str) -> Row:
    return {"kind": str(unit.kind), "symbols": list(unit.symbols), REFUSED: why}


def _datasets(plan: Plan, unit: Unit, run: Run) -> Sequence[Dataset]:
    from core.models import lstm, transformer
    from training import ppo
    from training.dataset import join
    from training.history import build_datasets, trainable

    histories = plan.of(unit)
    window = {Kind.LSTM: lstm.WINDOW, Kind.TRANSFORMER: transformer.WINDOW, Kind.PPO: ppo.WINDOW}[unit.kind]
    is_joint = unit.kind is Kind.TRANSFORMER
    datasets = build_datasets(trainable(histories, window) if is_joint else histories, window)
    learned = join(datasets) if is_joint else datasets[0]
    if learned.data_hash != run.manifest.data_hash:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"{unit.name} has learned from other candles ({run.manifest.data_hash[:12]}) than are here "
            f"({learned.data_hash[:12]}): it is not kept; remedy: the same command again, with the files of then",
            reason="OTHER_CANDLES",
        )
    return datasets


def _failed(job: Job, log: str) -> CrpbotError:
    faults = "; ".join(f"{name}: {unit.fault}" for name, unit in job.units.items() if unit.fault)
    tail = "\n".join(log.rstrip().splitlines()[-LOG_LINES:])
    return CrpbotError(
        Code.ABORTED,
        f"job {job.id} is {job.state} without models{f' ({faults})' if faults else ''}; remedy: run the same command "
        f"again once the cause is gone, it goes on from its checkpoints; what it printed last:\n{tail or '(nothing)'}",
        reason="JOB_FAILED",
    )


def _left(job: JobOrder, boot: Boot) -> Row:
    """A job that goes on without this machine."""
    return {"job": job.id, "cluster": boot.cluster, "ends": ends_by_itself(boot)}


def run(kind: Kind, order: Order, options: AwsOptions, *, as_json: bool) -> None:
    """The command: trains, prints, and says by its status whether anything was refused."""
    from cli.output import show
    from cli.training.tables import print_trained

    rows = train_on_aws(kind, order, options, open_site(options))
    if options.detach and rows and "job" in rows[0]:
        show(rows[0], as_json, _print_left)
        return
    show(rows, as_json, print_trained)
    sys.exit(1 if any(REFUSED in row for row in rows) else 0)


def _print_left(row: Row) -> None:
    from cli.render import console

    out = console()
    out.print(f"{row['job']} goes on without this machine; {row['ends']}", soft_wrap=True)
    out.print(f"look at it: crpbot cluster logs {row['job']} --follow", soft_wrap=True)
    out.print("bring its models home: the same command again, once it is over or before", soft_wrap=True)
