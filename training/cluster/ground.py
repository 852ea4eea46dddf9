"""What a launch stands on is looked up before anything costs money: bucket, profiles, group, zones, images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.errors import Code, CrpbotError
from training.cluster.boot import Ground
from training.cluster.bucket import default_url, has_bucket, read_bucket
from training.cluster.closed_group import check_closed, find_group, group_name
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NOT_PREPARED
from training.cluster.rights import has_rights, rights_of
from training.cluster.terms import Cluster, Machine

BY_PARAMETER: Final = "resolve:ssm:"  # EC2's own spelling; resolved by us, so that it is known which image it was


def read_ground(cluster: Cluster, cloud: Cloud, url: str) -> Ground:
    """Everything resolved to ids; FAILED_PRECONDITION with its remedy where something is not there, or not as `prepare`
    makes it for this very place."""
    network = find_network(cloud)
    group = find_group(cluster, cloud, network)
    missing = [*_missing(cluster, cloud, url)]
    if group is None or not group.ways_in:
        missing.append(f"{'way between members of ' if group else ''}security group {group_name(cluster)}")
    if missing or group is None:
        bucket = "" if read_bucket(url).url == default_url(cloud) else f" --bucket {url}"
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"account {cloud.account} is not prepared for {cluster.name} in {cloud.region}: "
            f"no {', no '.join(missing)}; remedy: run crpbot cluster prepare{bucket} once",
            reason=NOT_PREPARED,
        )
    check_closed(cluster, group)
    return Ground(_subnets(cluster, cloud, network), group.id, _images(cluster, cloud))


def find_network(cloud: Cloud) -> str:
    """The account's default network in the region: its machines reach the internet, and nobody reaches them."""
    found = cloud.pages("ec2", "describe_vpcs", "Vpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])
    if not found:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"account {cloud.account} has no default VPC in {cloud.region}; remedy: `aws ec2 create-default-vpc "
            f"--region {cloud.region}` (it costs nothing), or another provider.region",
            reason="NO_NETWORK",
        )
    return str(found[0]["VpcId"])


def _machines(cluster: Cluster) -> tuple[Machine, ...]:
    return (cluster.head, *cluster.workers)


def _missing(cluster: Cluster, cloud: Cloud, url: str) -> Iterator[str]:
    bucket = read_bucket(url)[0]
    if not has_bucket(cloud, bucket):
        yield f"bucket {bucket}"
    for name, policy in rights_of(cluster, cloud, url).items():
        try:
            profile = cloud.ask("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]
        except CrpbotError as error:
            if error.reason != NOT_PREPARED:
                raise
            yield f"instance profile {name}"
            continue
        if not profile["Roles"]:
            yield f"role in instance profile {name}"
        elif not has_rights(cluster, cloud, name, policy):
            yield f"role {name} with just the rights that this version has for {url}"


def _subnets(cluster: Cluster, cloud: Cloud, network: str) -> tuple[str, ...]:
    """One for each zone of the file that has every type of machine, in the file's order."""
    zones = set(cluster.zones)
    for kind in {each.instance_type for each in _machines(cluster)}:
        filters = [{"Name": "instance-type", "Values": [kind]}]
        where = {"LocationType": "availability-zone", "Filters": filters}
        offers = cloud.pages("ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", **where)
        zones &= {each["Location"] for each in offers}
    filters = [{"Name": "vpc-id", "Values": [network]}, {"Name": "default-for-az", "Values": ["true"]}]
    found = {
        each["AvailabilityZone"]: str(each["SubnetId"])
        for each in cloud.pages("ec2", "describe_subnets", "Subnets", Filters=filters)
        if each["MapPublicIpOnLaunch"]  # without an address of its own a machine could fetch nothing
    }
    if subnets := tuple(found[zone] for zone in cluster.zones if zone in zones & found.keys()):
        return subnets
    kinds = " and ".join(sorted({each.instance_type for each in _machines(cluster)}))
    raise CrpbotError(
        Code.FAILED_PRECONDITION,
        f"none of the zones {', '.join(cluster.zones)} has {kinds} and a default subnet with public addresses; remedy: "
        "other zones in provider.availability_zone of ray_cluster.yaml, or another region",
        reason="NO_ZONE",
    )


def _images(cluster: Cluster, cloud: Cloud) -> dict[str, str]:
    """Node type -> image, each asked for by its id, so that a wrong one is told of before the launch."""
    types, known = cluster.content["available_node_types"], dict[str, str]()
    for machine in _machines(cluster):
        name = str(types[machine.name]["node_config"]["ImageId"])
        if name not in known:
            known[name] = _image(name, cloud)
    return {each.name: known[types[each.name]["node_config"]["ImageId"]] for each in _machines(cluster)}


def _image(name: str, cloud: Cloud) -> str:
    if name.startswith(BY_PARAMETER):
        name = cloud.ask("ssm", "get_parameter", Name=name.removeprefix(BY_PARAMETER))["Parameter"]["Value"]
    cloud.ask("ec2", "describe_images", ImageIds=[name])
    return name
