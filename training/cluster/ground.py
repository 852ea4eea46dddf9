"""What a launch stands on is looked up before anything costs money: bucket, profiles, group, zones, images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from core.errors import Code, CrpbotError
from training.cluster.boot import Ground
from training.cluster.bucket import has_bucket, read_bucket
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NOT_PREPARED
from training.cluster.terms import Cluster, Machine

BY_PARAMETER: Final = "resolve:ssm:"  # EC2's own spelling; resolved by us, so that it is known which image it was


def read_ground(cluster: Cluster, cloud: Cloud, url: str) -> Ground:
    """Everything resolved to ids; FAILED_PRECONDITION with its remedy where something is not there."""
    network = find_network(cloud)
    group = find_group(cluster, cloud, network)
    missing = [*_missing(cluster, cloud, url), *(() if group else (f"security group {group_name(cluster)}",))]
    if missing or group is None:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"account {cloud.account} is not prepared for {cluster.name} in {cloud.region}: "
            f"no {', no '.join(missing)}; remedy: run crpbot cluster prepare once",
            reason=NOT_PREPARED,
        )
    return Ground(_subnets(cluster, cloud, network), group, _images(cluster, cloud))


def profiles_of(cluster: Cluster) -> dict[str, str]:
    """Node type -> the instance profile that the file gives it."""
    types = cluster.content["available_node_types"]
    return {each.name: types[each.name]["node_config"]["IamInstanceProfile"]["Name"] for each in _machines(cluster)}


def group_name(cluster: Cluster) -> str:
    return str(cluster.content["provider"]["security_group"]["GroupName"])


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


def find_group(cluster: Cluster, cloud: Cloud, network: str) -> str | None:
    """The id of the cluster's security group."""
    filters = [{"Name": "group-name", "Values": [group_name(cluster)]}, {"Name": "vpc-id", "Values": [network]}]
    found = cloud.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
    return str(found[0]["GroupId"]) if found else None


def _machines(cluster: Cluster) -> tuple[Machine, ...]:
    return (cluster.head, *cluster.workers)


def _missing(cluster: Cluster, cloud: Cloud, url: str) -> Iterator[str]:
    bucket = read_bucket(url)[0]
    if not has_bucket(cloud, bucket):
        yield f"bucket {bucket}"
    for name in dict.fromkeys(profiles_of(cluster).values()):
        try:
            cloud.ask("iam", "get_instance_profile", InstanceProfileName=name)
        except CrpbotError as error:
            if error.reason != NOT_PREPARED:
                raise
            yield f"instance profile {name}"


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
