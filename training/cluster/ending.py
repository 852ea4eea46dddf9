"""Ends a cluster, from whatever state it is in, and believes it only when AWS shows twice that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.boot import CLUSTER_TAG, LAUNCH_TAG
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NO_SUCH_INSTANCE, UNREACHABLE
from training.cluster.mail import Boot, cluster_key
from training.cluster.patience import may_pass
from training.cluster.regions import REGIONS_FILE, known_regions
from training.cluster.sight import Instance, Volume, find_instances, find_volumes, other_places
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


def end(cluster: Cluster, cloud: Cloud, files: Files | None, tell: Tell, *, regions: Path = REGIONS_FILE) -> Left:
    """Everything with the cluster's tag, whoever launched it, in every region where it may be.

    Nothing there is no failure. A region where it is known to have been, and that cannot be looked at, does not keep
    the others from being ended; it is an error afterwards.
    """
    gone, faults, ended, unseen = _Gone(), list[CrpbotError](), list[str](), list[str]()

    def end_in(place: Cloud) -> None:
        try:
            _end_all(place, CLUSTER_TAG, cluster.name, tell, gone)
        except CrpbotError as error:
            faults.append(error)
        else:
            ended.append(place.region)

    for region in known_regions(cluster.name, cluster.region, regions):
        end_in(cloud.in_region(region))
    if not any(each.reason == UNREACHABLE for each in faults):  # else no other region answers either
        for place in other_places(cluster, cloud, unseen, regions=regions):
            end_in(place)
    if faults:
        raise _together(faults)
    for words in unseen:
        tell(words)
    if files is not None:
        _forget_secrets(files, f"clusters/{cluster.name}/", tell)
    return _told(cluster.name, tuple(ended), gone, tell)


def end_boot(boot: Boot, cloud: Cloud, files: Files, tell: Tell) -> Left:
    """Everything of one launch, and nothing else: by now somebody may have launched another cluster of that name.

    A machine that EC2 does not show yet is looked for, a minute.
    """
    gone = _Gone()
    _end_all(cloud.in_region(boot.region), LAUNCH_TAG, boot.launch, tell, gone, UNSURE_LOOKS)
    _forget_secrets(files, cluster_key(boot.cluster, boot.launch, ""), tell)
    return _told(f"{boot.cluster}, launch {boot.launch},", (boot.region,), gone, tell)


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
    """Until so many looks one behind the other find nothing.

    What AWS does not let us end keeps none of the others: it is an error once they are gone.
    """
    clean, until = 0, time.monotonic() + WAIT_SECONDS
    while True:
        instances, volumes = find_instances(cloud, tag, value), find_volumes(cloud, tag, value)
        faults = _end_each(cloud, instances, volumes, tell, gone)
        if any(each.is_up for each in instances):
            looks = CLEAN_LOOKS  # what was looked for is found
        # the disk of a machine that stays does so too
        held = [each for each in volumes if not (faults and each.state == "in-use")]
        ids = (*(each.id for each in instances), *(each.id for each in held))
        rest = [each for each in ids if each not in faults]
        clean = 0 if rest else clean + 1
        if clean >= looks and faults:
            raise _together([_named(name, cloud.region, fault) for name, fault in faults.items()])
        if clean >= looks:
            return
        if time.monotonic() > until:
            names = ", ".join((*rest, *faults))
            raise CrpbotError(
                Code.DEADLINE_EXCEEDED,
                f"{names} in {cloud.region}: not gone {WAIT_SECONDS / 60:g} minutes after it was told to end; remedy: "
                "crpbot cluster down once more, and if it stays, end it in the EC2 console",
                reason="NOT_GONE",
            )
        cloud.wait()


def _end_each(
    cloud: Cloud, instances: tuple[Instance, ...], volumes: tuple[Volume, ...], tell: Tell, gone: _Gone
) -> dict[str, CrpbotError]:
    """Tells each machine to end and deletes each disk that is free; those that AWS does not let us, by their ids."""
    faults: dict[str, CrpbotError] = {}

    def attempt(name: str, ending: Callable[[], None]) -> None:
        try:
            ending()
        except CrpbotError as error:
            if error.reason == UNREACHABLE:  # so are the others
                raise
            faults[name] = error

    for machine in instances:  # the head is first: who is ended first launches no other
        if machine.is_up:
            attempt(machine.id, partial(_end_instance, cloud, machine, tell, gone))
    for disk in volumes:
        if disk.state in {"available", "error"}:
            attempt(disk.id, partial(_delete_volume, cloud, disk, tell, gone))
    return faults


def _end_instance(cloud: Cloud, instance: Instance, tell: Tell, gone: _Gone) -> None:
    if instance.id not in gone.instances:
        tell(f"ending {instance.node_type or instance.instance_type} {instance.id} in {instance.zone}")
    gone.instances[instance.id] = None
    _terminate(cloud, instance.id)  # gone between two calls: the next look tells


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


def _named(name: str, region: str, fault: CrpbotError) -> CrpbotError:
    return CrpbotError(fault.code, f"{name} in {region} was not ended: {fault.detail}", reason=fault.reason)


def _together(faults: list[CrpbotError]) -> CrpbotError:
    """All of them as one, which may pass where one of them may: whoever asks again then gets further."""
    first = next((each for each in faults if may_pass(each)), faults[0])
    return CrpbotError(first.code, "; ".join(each.detail for each in faults), reason=first.reason)


def _told(what: str, places: tuple[str, ...], gone: _Gone, tell: Tell) -> Left:
    ended = f"{len(gone.instances)} machines ended, {len(gone.volumes)} left disks deleted"
    tell(f"{ended}; 0 machines and 0 disks of {what} are left in {', '.join(places)}")
    tell("what costs nothing stays for the next launch: security group, roles and profiles; the bucket keeps its files")
    return Left(places, tuple(gone.instances), tuple(gone.volumes))


def _forget_secrets(files: Files, under: str, tell: Tell) -> None:
    """Tokens of launches that are over. A bucket that is not there keeps no machine from being ended."""
    try:
        for name in files.stamps(under):
            if name.rpartition("/")[2] in SECRETS:
                files.remove(name)
    except CrpbotError as error:
        tell(f"the tokens of this launch were not removed from the bucket: {error.detail}")
