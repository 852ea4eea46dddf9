"""What a training on AWS will cost, and the most that it can, before anything is begun.

    a stage's hours   = (boot, where machines must start) + rounds x windows x epochs / rate / 3600
    side by side      = the fewer of units and (machines with a GPU that there may be) / workers, rounded down
    rounds            = units / side by side, rounded up
    machines          = side by side x workers: those that share one training
    worker hours      = units x workers x windows x epochs / rate / 3600 + machines started x (boot + idle timeout)
    head hours        = head's boot + the stages' hours + the ending
    expected dollars  = hours x (head, or a spot worker) + disk GB x hours x price + machine hours x address
                        + head's boot x its surplus: it computes beyond its CPU credits while it installs, then waits
    highest rate      = head + its surplus + max_workers on demand + all disks + all addresses, an hour
    lifetime          = the smaller of the hours' limit and the dollars' limit / highest rate
    most dollars      = lifetime x highest rate

Nothing here asks AWS: prices, boot times and rates are those of `prices.toml`. Not counted, because they are cents: S3
(a month of a GB is $0.023, a thousand requests $0.005), and what leaves AWS (the first 100 GB a month are free).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from core.errors import invalid
from core.models.manifest import Kind
from training.cluster.price_list import MachinePrice, Prices, read_prices
from training.cluster.terms import Cluster, Limits, Machine

MINUTES: Final = 60.0  # an hour
SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Load:
    """A stage of a job: so many units side by side, each learning so many windows (PPO: candles) so often.

    `workers`: machines that share one unit. Nobody measured what that gains on AWS, so no time is counted for it.
    """

    kind: Kind
    units: int
    windows: int
    epochs: int
    workers: int = 1

    def __post_init__(self) -> None:
        for name in ("units", "windows", "epochs", "workers"):
            if getattr(self, name) < 1:
                raise invalid(name, f"{getattr(self, name)} is no training; remedy: name 1 or more", reason="LOAD")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: so much of something, at a price, is so many dollars."""

    what: str
    amount: float
    unit: str
    price: float  # dollars each
    dollars: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect, and the most there can be."""

    lines: tuple[Line, ...]
    hours: float  # from the launch to its end, expected
    worker_hours: float
    dollars: float
    highest_rate: float  # dollars an hour, everything that may run at once, on demand
    most_hours: float
    most_dollars: float
    assumptions: tuple[str, ...]  # in words

    @property
    def fits(self) -> bool:
        """Whether the work is expected to be done before the limits end it."""
        return self.hours <= self.most_hours


def estimate(
    cluster: Cluster,
    limits: Limits,
    loads: Sequence[Load],
    *,
    rates: Mapping[Kind, float] | None = None,
    prices: Prices | None = None,
) -> Estimate:
    """The table of a job of these stages. `rates`: windows a second of your own, in place of the assumed ones.

    INVALID_ARGUMENT where a training is to be shared by more machines than the cluster may have.
    """
    prices = prices or read_prices(cluster.region)
    for load in loads:
        _check_workers(cluster, load)
    most_hours = lifetime_hours(cluster, limits, prices=prices)
    rate = highest_rate(cluster, prices=prices)
    worker = first_worker(cluster)
    own = _checked(rates or {})
    speeds = {each.kind: own.get(each.kind) or prices.rate(worker.instance_type, each.kind) for each in loads}
    stage_hours, worker_hours = _work(cluster, prices, loads, speeds)
    hours = (prices.head_boot_minutes + prices.ending_minutes) / MINUTES + stage_hours
    price, head = prices.of(worker.instance_type), prices.of(cluster.head.instance_type)
    lines = (
        _line(f"head, {cluster.head.instance_type}", hours, "h", head.on_demand),
        _line(
            f"workers, {worker.instance_type}{' spot' if worker.is_spot else ''}",
            worker_hours,
            "h",
            _asked(worker, price),
        ),
        _line("disks", cluster.head.disk_gb * hours + worker.disk_gb * worker_hours, "GB h", prices.gb_hour),
        _line("public addresses", hours + worker_hours, "h", prices.address_hour),
        _line("surplus of CPU credits", prices.head_boot_minutes / MINUTES, "h", head.surplus),
    )
    return Estimate(
        lines=lines,
        hours=hours,
        worker_hours=worker_hours,
        dollars=sum(line.dollars for line in lines),
        highest_rate=rate,
        most_hours=most_hours,
        most_dollars=most_hours * rate,
        assumptions=_assumptions(prices, worker, speeds, own, most_workers=max(each.workers for each in loads)),
    )


def highest_rate(cluster: Cluster, *, prices: Prices | None = None) -> float:
    """Dollars an hour of everything that may run at once: the head, and as many workers as there may be, the dearest
    ones, on demand, with disks and addresses."""
    prices = prices or read_prices(cluster.region)
    dearest = max(_at_most(each, prices) for each in cluster.workers)
    return _at_most(cluster.head, prices) + cluster.most_workers * dearest


def lifetime_hours(cluster: Cluster, limits: Limits, *, prices: Prices | None = None) -> float:
    """How long a launch may live at most: the hours' limit, or the time in which the dollars are spent at the highest
    rate, whichever is sooner."""
    return min(limits.hours, limits.dollars / highest_rate(cluster, prices=prices))


def training_machines(cluster: Cluster) -> int:
    """How many machines with a GPU may run at once; of a cluster without GPUs, how many workers."""
    with_gpu = sum(each.most for each in cluster.workers if each.gpus)
    return min(cluster.most_workers, with_gpu or cluster.most_workers)


def first_worker(cluster: Cluster) -> Machine:
    """The type that is asked for first."""
    return max(cluster.workers, key=lambda each: each.priority)


def _work(cluster: Cluster, prices: Prices, loads: Sequence[Load], speeds: Mapping[Kind, float]) -> tuple[float, float]:
    """Hours of all stages, and of all workers in them."""
    boot, idle = prices.worker_boot_minutes / MINUTES, cluster.idle_minutes / MINUTES
    stage_hours = worker_hours = 0.0
    alive = 0  # machines that worked last in the stage before: the next stage has them at once
    for load in loads:
        side_by_side = min(load.units, training_machines(cluster) // load.workers)
        rounds = math.ceil(load.units / side_by_side)
        unit_hours = load.windows * load.epochs / speeds[load.kind] / SECONDS
        started = max(0, side_by_side * load.workers - alive)
        stage_hours += (boot if started else 0.0) + rounds * unit_hours
        worker_hours += load.units * load.workers * unit_hours + started * (boot + idle)
        alive = (load.units - (rounds - 1) * side_by_side) * load.workers
    return stage_hours, worker_hours


def _check_workers(cluster: Cluster, load: Load) -> None:
    most = training_machines(cluster)
    if load.workers > most:
        detail = (
            f"{load.workers} machines to share one training are more than the {most} with a GPU that cluster "
            f"{cluster.name} may have; remedy: --workers {most} or fewer, or a larger max_workers in ray_cluster.yaml "
            "and a quota for it"
        )
        raise invalid("workers", detail, reason="TOO_MANY_WORKERS")


def _at_most(machine: Machine, prices: Prices) -> float:
    price = prices.of(machine.instance_type)
    return price.on_demand + price.surplus + machine.disk_gb * prices.gb_hour + prices.address_hour


def _asked(machine: Machine, price: MachinePrice) -> float:
    return price.spot if machine.is_spot else price.on_demand


def _line(what: str, amount: float, unit: str, price: float) -> Line:
    return Line(what, amount, unit, price, amount * price)


def _checked(rates: Mapping[Kind, float]) -> Mapping[Kind, float]:
    for kind, rate in rates.items():
        if not (math.isfinite(rate) and rate > 0):
            detail = f"{rate:g} windows a second of {kind} is no speed; remedy: name a number above 0"
            raise invalid("rate", detail, reason="RATE")
    return rates


def _assumptions(
    prices: Prices, worker: Machine, speeds: Mapping[Kind, float], own: Mapping[Kind, float], *, most_workers: int
) -> tuple[str, ...]:
    shared = f"assumed: {most_workers} machines that share a training learn no faster than one: nobody measured it"
    learned = ", ".join(
        f"{kind} {speed:,.0f} windows a second ({'given' if kind in own else 'assumed'})"
        for kind, speed in speeds.items()
    )
    return (
        f"prices of {prices.region} as noted on {prices.noted}, not live; spot as it typically was",
        f"on a {worker.instance_type}: {learned}",
        f"assumed: a head boots in {prices.head_boot_minutes:g} minutes, a worker in {prices.worker_boot_minutes:g}, "
        f"the end takes {prices.ending_minutes:g}; no machine is taken away under way",
        "assumed: the head computes beyond its CPU credits while it boots, with all its vCPUs, and no longer",
        *([shared] if most_workers > 1 else []),
    )
