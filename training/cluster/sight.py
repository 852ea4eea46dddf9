"""What of a cluster exists at AWS, asked of AWS itself: machines, disks, and what the head said last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from core.errors import CrpbotError
from core.files import Files
from training.cluster.boot import CLUSTER_TAG, LAUNCH_TAG
from training.cluster.cloud import Answer, Cloud
from training.cluster.mail import MOST_TEXT_BYTES, Boot, State, cluster_key, read_boot
from training.cluster.post import newest_launch, read_cluster_state
from training.cluster.price_list import priced_regions
from training.cluster.regions import REGIONS_FILE, known_regions
from training.cluster.terms import Cluster

UP = frozenset({"pending", "running", "stopping", "stopped"})  # until somebody ends it; a stopped one's disk costs


class Instance(NamedTuple):
    """A machine that is not gone."""

    id: str
    instance_type: str
    node_type: str  # of ray_cluster.yaml
    is_head: bool
    lifecycle: str  # spot, on-demand
    state: str  # pending, running, shutting-down, stopping, stopped
    region: str
    zone: str
    since: datetime
    launch: str

    @property
    def is_up(self) -> bool:
        """Not on its way out."""
        return self.state in UP


class Volume(NamedTuple):
    """A disk that is not gone."""

    id: str
    size_gb: int
    state: str  # creating, available, in-use, deleting, error
    region: str
    zone: str


class Sight(NamedTuple):
    """All there is of a cluster, in every region where it may be."""

    instances: tuple[Instance, ...]
    volumes: tuple[Volume, ...]
    boot: Boot | None  # of the launch whose head is up; where none is, of its newest one
    state: State | None  # as that launch's head said last
    regions: tuple[str, ...]  # where it was looked
    unseen: tuple[str, ...]  # where it could not be looked, and why


def look(cluster: Cluster, cloud: Cloud, files: Files | None, *, regions: Path = REGIONS_FILE) -> Sight:
    """Asks AWS. Without `files` (no bucket yet) nobody knows of launches."""
    places = [cloud.in_region(region) for region in known_regions(cluster.name, cluster.region, regions)]
    unseen: list[str] = []
    places += other_places(cluster, cloud, unseen, regions=regions)
    instances = tuple(each for place in places for each in find_instances(place, CLUSTER_TAG, cluster.name))
    volumes = tuple(each for place in places for each in find_volumes(place, CLUSTER_TAG, cluster.name))
    boot = None if files is None else _boot_of(files, cluster.name, instances)
    state = None if files is None or boot is None else read_cluster_state(files, boot)
    return Sight(instances, volumes, boot, state, tuple(each.region for each in places), tuple(unseen))


def other_places(cluster: Cluster, cloud: Cloud, unseen: list[str], *, regions: Path = REGIONS_FILE) -> Iterator[Cloud]:
    """Where another laptop may have launched it: the rest of the regions that have prices.

    One that does not let us look, as where the account has not enabled it, is left out and told in `unseen`.
    """
    known = known_regions(cluster.name, cluster.region, regions)
    for place in (cloud.in_region(region) for region in priced_regions() if region not in known):
        try:
            find_instances(place, CLUSTER_TAG, cluster.name)
        except CrpbotError as error:
            unseen.append(f"{place.region} was not looked at: {error.detail}")
        else:
            yield place


def _boot_of(files: Files, cluster: str, instances: tuple[Instance, ...]) -> Boot | None:
    """What the head that is up was told; None where that lies in another bucket."""
    up = next((each.launch for each in instances if each.is_head and each.is_up), None)
    if up is None:
        return newest_launch(files, cluster)
    name = cluster_key(cluster, up, "boot.json")
    if name not in files.stamps(name):
        return None
    return read_boot(files.read(name, most=MOST_TEXT_BYTES))


def find_instances(cloud: Cloud, tag: str, value: str) -> tuple[Instance, ...]:
    """The machines with this tag that are not gone, the head first, then the oldest."""
    filters = [
        {"Name": f"tag:{tag}", "Values": [value]},
        {"Name": "instance-state-name", "Values": [*sorted(UP), "shutting-down"]},
    ]
    groups = cloud.pages("ec2", "describe_instances", "Reservations", Filters=filters)
    found = [_read_instance(each, cloud.region) for group in groups for each in group["Instances"]]
    return tuple(sorted(found, key=lambda each: (not each.is_head, each.since, each.id)))


def find_volumes(cloud: Cloud, tag: str, value: str) -> tuple[Volume, ...]:
    """The disks with this tag that are not gone."""
    filters = [{"Name": f"tag:{tag}", "Values": [value]}]
    return tuple(
        Volume(each["VolumeId"], int(each["Size"]), each["State"], cloud.region, each["AvailabilityZone"])
        for each in cloud.pages("ec2", "describe_volumes", "Volumes", Filters=filters)
        if each["State"] != "deleted"
    )


def _read_instance(found: Answer, region: str) -> Instance:
    tags = {each["Key"]: each["Value"] for each in found.get("Tags", ())}
    return Instance(
        id=found["InstanceId"],
        instance_type=found["InstanceType"],
        node_type=tags.get("ray-user-node-type", ""),
        is_head=tags.get("ray-node-type") == "head",
        lifecycle=found.get("InstanceLifecycle", "on-demand"),
        state=found["State"]["Name"],
        region=region,
        zone=found.get("Placement", {}).get("AvailabilityZone", ""),
        since=found["LaunchTime"],
        launch=tags.get(LAUNCH_TAG, ""),
    )
