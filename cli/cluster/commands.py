"""The commands of `crpbot cluster`. Imports are lazy, so that `crpbot --help` answers at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.cluster.options import (
    CLUSTER_FILE,
    DOLLARS,
    HOURS,
    IDLE_MINUTES,
    AwsOptions,
    Bucket,
    File,
    IdleMinutes,
    MaxDollars,
    MaxHours,
    Region,
    Yes,
)
from cli.output import show

if TYPE_CHECKING:
    from cli.training.plan import Plan

cluster = typer.Typer(help="The training cluster on AWS: begin it, look at it, end it.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Words = Annotated[list[str], typer.Argument(help="As after `crpbot train`, such as: lstm --coin all --days 60.")]
JobName = Annotated[str, typer.Argument(help="Such as train-lstm-0f3a9c1d2b4e5f60.")]

TAKES_TRAINING: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}  # Any: click's own


@cluster.command()
def prepare(file: File = CLUSTER_FILE, region: Region = None, bucket: Bucket = None, as_json: Json = False) -> None:
    """Make what a cluster needs once in an account: a private bucket, two roles, a closed security group."""
    from cli.cluster.life import prepare_account
    from cli.cluster.tables import print_prepared

    show(prepare_account(AwsOptions(file, region, bucket)), as_json, print_prepared)


@cluster.command()
def up(
    file: File = CLUSTER_FILE,
    region: Region = None,
    bucket: Bucket = None,
    max_hours: MaxHours = HOURS,
    max_dollars: MaxDollars = DOLLARS,
    idle_minutes: IdleMinutes = IDLE_MINUTES,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Launch the cluster and wait until it takes jobs. It ends itself when idle, and at its limits in any case."""
    from cli.cluster.life import up as run
    from cli.cluster.tables import print_up

    show(run(AwsOptions(file, region, bucket, max_hours, max_dollars, idle_minutes, yes)), as_json, print_up)


@cluster.command()
def status(file: File = CLUSTER_FILE, region: Region = None, bucket: Bucket = None, as_json: Json = False) -> None:
    """Machines, disks and jobs; how long until it ends by itself, and what it has cost so far by estimate."""
    from cli.cluster.life import status as run
    from cli.cluster.tables import print_status

    show(run(AwsOptions(file, region, bucket)), as_json, print_status)


@cluster.command(context_settings=TAKES_TRAINING)
def submit(
    training: Words,
    address: Annotated[
        str | None, typer.Option("--address", help="Jobs API of any other Ray cluster, such as http://127.0.0.1:8265.")
    ] = None,
    file: File = CLUSTER_FILE,
    region: Region = None,
    bucket: Bucket = None,
    as_json: Json = False,
) -> None:
    """Give the cluster that is up a training, named as for `crpbot train`; the same one twice is refused."""
    from cli.cluster.jobs import submit_plan
    from cli.cluster.tables import print_submitted

    options = AwsOptions(file, region, bucket)
    show(submit_plan(read_plan(training), options, address=address), as_json, print_submitted)


@cluster.command()
def logs(
    job: JobName,
    follow: Annotated[bool, typer.Option("--follow", help="Until the job is over.")] = False,
    file: File = CLUSTER_FILE,
    region: Region = None,
    bucket: Bucket = None,
    as_json: Json = False,
) -> None:
    """What a job printed; status 1 where it has failed."""
    from cli.cluster.jobs import read_logs
    from cli.cluster.tables import print_job

    def hear(words: str) -> None:
        if words and not as_json:
            typer.echo(words, nl=False)

    row = read_logs(job, AwsOptions(file, region, bucket), is_followed=follow, hear=hear)
    show(row, as_json, print_job)
    sys.exit(1 if row["state"] == "failed" else 0)


@cluster.command()
def stop(
    job: JobName, file: File = CLUSTER_FILE, region: Region = None, bucket: Bucket = None, as_json: Json = False
) -> None:
    """Ask the cluster to stop a job. What it reached is kept; the cluster stays until it is idle or ended."""
    from cli.cluster.jobs import stop_job
    from cli.cluster.tables import print_stopping

    show(stop_job(job, AwsOptions(file, region, bucket)), as_json, print_stopping)


@cluster.command()
def down(file: File = CLUSTER_FILE, region: Region = None, bucket: Bucket = None, as_json: Json = False) -> None:
    """End everything of the cluster from any state, and show that nothing is left; status 1 where something is."""
    from cli.cluster.life import down as run
    from cli.cluster.tables import print_down

    show(run(AwsOptions(file, region, bucket)), as_json, print_down)


@cluster.command(context_settings=TAKES_TRAINING)
def cost(
    training: Words,
    file: File = CLUSTER_FILE,
    region: Region = None,
    max_hours: MaxHours = HOURS,
    max_dollars: MaxDollars = DOLLARS,
    idle_minutes: IdleMinutes = IDLE_MINUTES,
    as_json: Json = False,
) -> None:
    """What a training would cost, and the most it can; nothing is started and nobody is asked."""
    from cli.cluster.life import cost as run
    from cli.cluster.tables import print_estimate

    options = AwsOptions(file, region, None, max_hours, max_dollars, idle_minutes)
    show(run(read_plan(training), options), as_json, print_estimate)


def read_plan(words: list[str]) -> Plan:
    """The training that the words would begin, read as `crpbot train` reads them."""
    from dataclasses import fields

    from cli.models.place import open_models
    from cli.training.commands import train
    from cli.training.order import Order
    from cli.training.plan import make_plan
    from core.errors import unknown
    from core.models.manifest import Kind

    name, *rest = words
    group: Any = typer.main.get_command(train)  # Any: typer keeps its own copy of click
    if name not in group.commands:
        raise unknown("training", "training", name, group.commands)
    given = group.commands[name].make_context(f"crpbot train {name}", rest).params
    given |= {"folder": given.pop("data"), "models": open_models(given["models"])}
    known = {each.name for each in fields(Order)}
    return make_plan(Kind(name), Order(**{key: value for key, value in given.items() if key in known}))
