"""What AWS asks for the parts of a training cluster: `prices.toml`, noted by hand on a day it names. Not live."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

from core.errors import Code, CrpbotError
from core.models.manifest import Kind

FILE: Final = "training/cluster/prices.toml"
HOURS_A_MONTH: Final = (
    730.0  # AWS bills a disk by the share of a month, and 730 hours are the month of its own examples
)


@dataclass(frozen=True, slots=True)
class MachinePrice:
    """One machine type in one region, in dollars an hour."""

    on_demand: float
    spot: float
    surplus: float  # the most that it can cost beyond, where it computes more than its credits allow


@dataclass(frozen=True, slots=True)
class Prices:
    """One region's."""

    region: str
    noted: date
    address_hour: float
    gb_hour: float
    machines: Mapping[str, MachinePrice]
    rates: Mapping[str, Mapping[Kind, float]]  # windows a second, by machine type; assumed
    head_boot_minutes: float  # these three likewise
    worker_boot_minutes: float
    ending_minutes: float

    def of(self, instance_type: str) -> MachinePrice:
        """NOT_FOUND where none is known: an estimate must not guess."""
        if instance_type not in self.machines:
            raise _unpriced(f"the machine type {instance_type} in {self.region}", self.machines)
        return self.machines[instance_type]

    def rate(self, instance_type: str, kind: Kind) -> float:
        """Windows a second; NOT_FOUND where nobody has assumed one."""
        if instance_type not in self.rates:
            raise _unpriced(f"the speed of {instance_type}", self.rates)
        return self.rates[instance_type][kind]


def priced_regions() -> tuple[str, ...]:
    """Where a cluster can be launched at all: nothing is, where its cost cannot be limited."""
    return tuple(_content()["regions"])


def read_prices(region: str) -> Prices:
    """Those of a region; NOT_FOUND where none were noted."""
    found = _content()
    if region not in found["regions"]:
        raise _unpriced(f"the region {region}", found["regions"])
    here, minutes = found["regions"][region], found["assumed_minutes"]
    return Prices(
        region=region,
        noted=found["noted"],
        address_hour=found["address_hour"],
        gb_hour=here["gp3_gb_month"] / HOURS_A_MONTH,
        machines={name: _machine(found, name, price) for name, price in here["machines"].items()},
        rates={
            name: {Kind(kind): float(rate) for kind, rate in rates.items()}
            for name, rates in found["assumed_rates"].items()
        },
        head_boot_minutes=minutes["head_boot"],
        worker_boot_minutes=minutes["worker_boot"],
        ending_minutes=minutes["ending"],
    )


def _machine(found: dict[str, Any], name: str, price: dict[str, float]) -> MachinePrice:  # Any: TOML, our own
    above = found["surplus_above"].get(name, 1.0)
    surplus = found["surplus_vcpu_hour"] * found["vcpus"][name] * (1 - above)
    return MachinePrice(price["on_demand"], price["spot"], surplus)


@cache
def _content() -> dict[str, Any]:  # Any: TOML
    return tomllib.loads((files("training.cluster") / "prices.toml").read_text())


def _unpriced(what: str, known: Mapping[str, object]) -> CrpbotError:
    return CrpbotError(
        Code.NOT_FOUND,
        f"no price is noted for {what}, so its cost cannot be limited; noted are {', '.join(known)}; "
        f"remedy: name one of them in ray_cluster.yaml, or add yours to {FILE}",
        reason="UNKNOWN_PRICE",
    )
