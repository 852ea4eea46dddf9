"""`crpbot cluster`: begins, shows and ends the training cluster that `ray_cluster.yaml` describes."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from cli.cluster.guard import Guard
from cli.cluster.options import AwsOptions
from cli.cluster.progress import say
from cli.cluster.site import ENDING, agree, begin, check_asked, ended_unless_kept, finish, limits_of, open_site
from cli.cluster.tables import print_limits
from training.cluster.cost import Estimate, highest_rate, lifetime_hours
from training.cluster.launcher import Left, prepare, wait_ready
from training.cluster.post import (
    ends_by_itself,
    utc,
)
from training.cluster.sight import Sight
from training.cluster.terms import Cluster, Limits

if TYPE_CHECKING:
    from cli.training.plan import Plan

SECONDS: Final = 3_600.0  # an hour

Row = dict[str, Any]  # Any: what becomes JSON


def prepare_account(options: AwsOptions) -> Row:
    """Makes what a cluster needs once in an account and region."""
    site = open_site(options)
    made = prepare(site.cluster, site.cloud, site.url, say)
    return {"cluster": site.cluster.name, "region": site.cluster.region, "bucket": site.url, "made": list(made)}


def up(options: AwsOptions) -> Row:
    """Starts the head and waits until it is ready; whatever goes wrong ends it."""
    site, limits = open_site(options), limits_of(options)
    check_asked(options)
    site.tell()
    print_limits(limits_row(site.cluster, limits))
    agree(options, "Launch the cluster?")
    with Guard() as guard:
        boot = begin(site, limits, guard)
        with ended_unless_kept(site, boot, guard) as keep:
            wait_ready(boot, site.cloud, site.files, say)
            keep()
    return {
        "cluster": boot.cluster,
        "launch": boot.launch,
        "region": boot.region,
        "ends_at": utc(boot.ends_at),
        "idle_minutes": boot.idle_minutes,
    }


def down(options: AwsOptions) -> Row:
    """Ends everything of that name, from any state, in every region where it may have been launched."""
    site = open_site(options)
    with Guard() as guard:
        found: list[Left] = []
        with guard.ending(ENDING, lambda: found.append(finish(site))):
            pass
    return {"cluster": site.cluster.name, **found[0]._asdict(), "left_instances": 0, "left_volumes": 0}


def status(options: AwsOptions) -> Row:
    """What there is, what the head says, how long it has left, and what it has cost so far by estimate."""
    site = open_site(options)
    sight = site.look()
    boot = sight.boot if any(each.is_up for each in sight.instances) else None
    now = time.time()
    state = sight.state if boot is not None else None
    return {
        "cluster": site.cluster.name,
        "region": site.cluster.region,
        "regions": list(sight.regions),
        "unseen": list(sight.unseen),
        "bucket": site.url,
        "instances": [{**each._asdict(), "since": each.since.isoformat()} for each in sight.instances],
        "volumes": [each._asdict() for each in sight.volumes],
        "launch": None if boot is None else boot.launch,
        "ends_at": None if boot is None else utc(boot.ends_at),
        "minutes_left": None if boot is None else max(0.0, round((boot.ends_at - now) / 60.0, 1)),
        "ends": None if boot is None else ends_by_itself(boot),
        "phase": None if state is None else state.phase,
        "heard_seconds_ago": None if state is None else round(max(0.0, now - state.at), 1),
        "workers": {} if state is None else state.workers,
        "jobs": {} if state is None else {job: str(each) for job, each in state.jobs.items()},
        "problems": [] if state is None else list(state.problems),
        "dollars_so_far": _dollars_so_far(site.cluster, sight, now),
    }


def cost(plan: Plan, options: AwsOptions) -> Row:
    """What a training would cost, without asking AWS anything."""
    cluster = open_site(options).cluster
    return estimate_row(plan, cluster, limits_of(options))


def estimate_row(plan: Plan, cluster: Cluster, limits: Limits) -> Row:
    from training.cluster.cost import estimate

    found: Estimate = estimate(cluster, limits, plan.loads())
    return {
        "cluster": cluster.name,
        "region": cluster.region,
        "trainings": len(plan.units),
        **asdict(found),
        "fits": found.fits,
        "limits": asdict(limits),
    }


def limits_row(cluster: Cluster, limits: Limits) -> Row:
    """The hard limits of a launch without a job."""
    hours, rate = lifetime_hours(cluster, limits), highest_rate(cluster)
    return {"most_hours": hours, "highest_rate": rate, "most_dollars": hours * rate, "limits": asdict(limits)}


def _dollars_so_far(cluster: Cluster, sight: Sight, now: float) -> float:
    """Of the machines that are there, each since its beginning; of those that are gone nobody tells."""
    from training.cluster.price_list import read_prices

    dollars = 0.0
    for each in sight.instances:
        prices = read_prices(each.region)
        price = prices.of(each.instance_type)
        hours = max(0.0, now - each.since.timestamp()) / SECONDS
        dollars += hours * ((price.spot if each.lifecycle == "spot" else price.on_demand) + prices.address_hour)
        disk = next((one.disk_gb for one in (cluster.head, *cluster.workers) if one.name == each.node_type), 0)
        dollars += hours * disk * prices.gb_hour
    return round(dollars, 4)
