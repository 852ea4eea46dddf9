"""Ends a cluster, from whatever state it is in, and believes it only when AWS shows twice that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.boot import CLUSTER_TAG, LAUNCH_TAG
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NO_SUCH_INSTANCE
from training.cluster.regions import REGIONS_FILE, known_regions
from training.cluster.sight import Instance, Volume, find_instances, find_volumes
from training.cluster.terms import Cluster

CLEAN_LOOKS: Final = 2  # one behind the other that find nothing, so that a machine just being born is not missed
UNSURE_LOOKS: Final = 20  # a minute: nobody may think that nothing is left while EC2 does not show a machine yet
# A machine needs up to some minutes from "shutting-down" to "terminated"; it costs nothing any more by then.
WAIT_SECONDS: Final = 600.0
SECRETS: Final = ("token", "head.json")  # of a launch: worth nothing once it is over, and kept by nobody

Tell = Callable[[str], None]


class Left(NamedTuple):
    """What was ended. That nothing else is left has been seen: it is an error otherwise."""

    regions: tuple[str, ...]  # where it was looked
    instances: tuple[str, ...]  # that were ended
    volumes: tuple[str, ...]  # that were left by machines, and are deleted


class _Gone:
    """What one ending has ended so far."""

    def __init__(self) -> None:
        self.instances: dict[str, None] = {}
        self.volumes: dict[str, None] = {}


def end(
    cluster: Cluster,
    cloud: Cloud,
    files: Files | None,
    tell: Tell,
    *,
    is_sure: bool = True,
    regions: Path = REGIONS_FILE,
) -> Left:
    """Everything with the cluster's tag, in every region where it may be. Nothing there is no failure.

    A region that cannot be looked at does not keep the others from being ended; it is an error afterwards. Not sure: a
    machine was begun in the cluster's region, and is looked for until EC2 shows it.
    """
    places = known_regions(cluster.name, cluster.region, regions)
    gone, faults = _Gone(), []
    for region in places:
        looks = CLEAN_LOOKS if is_sure or region != cluster.region else UNSURE_LOOKS
        try:
            _end_all(cloud.in_region(region), CLUSTER_TAG, cluster.name, tell, gone, looks)
        except CrpbotError as error:
            faults.append(error)
    if faults:
        raise faults[0]
    if files is not None:
        _forget_secrets(files, cluster.name, tell)
    ended = f"{len(gone.instances)} machines ended, {len(gone.volumes)} left disks deleted"
    tell(f"{ended}; 0 machines and 0 disks of {cluster.name} are left in {', '.join(places)}")
    tell("what costs nothing stays for the next launch: security group, roles and profiles; the bucket keeps its files")
    return Left(places, tuple(gone.instances), tuple(gone.volumes))


def end_launch(cloud: Cloud, launch: str, tell: Tell, *, head: str, is_sure: bool) -> None:
    """Everything of one launch. `head`: the machine that it is known to have begun, or nothing.

    Not sure: a machine of which nobody told us may live, and EC2 shows a new one only after a while.
    """
    gone, looks = _Gone(), CLEAN_LOOKS if is_sure else UNSURE_LOOKS
    if head:
        tell(f"ending head {head}")
        looks = looks if _terminate(cloud, head) else UNSURE_LOOKS
    _end_all(cloud, LAUNCH_TAG, launch, tell, gone, looks)


def _end_all(cloud: Cloud, tag: str, value: str, tell: Tell, gone: _Gone, looks: int = CLEAN_LOOKS) -> None:
    """Until so many looks one behind the other find nothing."""
    clean, until = 0, time.monotonic() + WAIT_SECONDS
    while True:
        instances, volumes = find_instances(cloud, tag, value), find_volumes(cloud, tag, value)
        for each in instances:  # the head is first: who is ended first launches no other
            if each.is_up:
                _end_instance(cloud, each, tell, gone)
                looks = CLEAN_LOOKS  # what was looked for is found
        for volume in volumes:
            if volume.state in {"available", "error"}:
                _delete_volume(cloud, volume, tell, gone)
        clean = 0 if instances or volumes else clean + 1
        if clean >= looks:
            return
        if time.monotonic() > until:
            names = ", ".join((*(each.id for each in instances), *(each.id for each in volumes)))
            raise CrpbotError(
                Code.DEADLINE_EXCEEDED,
                f"{names} in {cloud.region}: not gone {WAIT_SECONDS / 60:g} minutes after it was told to end; remedy: "
                "crpbot cluster down once more, and if it stays, end it in the EC2 console",
                reason="NOT_GONE",
            )
        cloud.wait()


def _end_instance(cloud: Cloud, instance: Instance, tell: Tell, gone: _Gone) -> None:
    if instance.id not in gone.instances:
        tell(f"ending {instance.node_type or instance.instance_type} {instance.id} in {instance.zone}")
    _terminate(cloud, instance.id)  # gone between two calls: the next look tells
    gone.instances[instance.id] = None


def _terminate(cloud: Cloud, instance: str) -> bool:
    """Whether EC2 knew the machine."""
    try:
        cloud.ask("ec2", "terminate_instances", InstanceIds=[instance])
    except CrpbotError as error:
        if error.reason != NO_SUCH_INSTANCE:
            raise
        return False
    return True


def _delete_volume(cloud: Cloud, volume: Volume, tell: Tell, gone: _Gone) -> None:
    try:
        cloud.ask("ec2", "delete_volume", VolumeId=volume.id)
    except CrpbotError as error:
        if error.reason != NO_SUCH_INSTANCE:
            raise
        return
    tell(f"deleted the disk {volume.id} ({volume.size_gb} GB), which no machine had any more")
    gone.volumes[volume.id] = None


def _forget_secrets(files: Files, cluster: str, tell: Tell) -> None:
    """Tokens of launches that are over. A bucket that is not there keeps no machine from being ended."""
    try:
        for name in files.stamps(f"clusters/{cluster}/"):
            if name.rpartition("/")[2] in SECRETS:
                files.remove(name)
    except CrpbotError as error:
        tell(f"the tokens of this launch were not removed from the bucket: {error.detail}")
