"""Makes what a cluster needs once in an account: a private bucket, two roles, a closed security group. None of it costs
anything while nothing runs, but for the files in the bucket.

Run twice it makes nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from core.errors import CrpbotError
from training.cluster.boot import CLUSTER_TAG
from training.cluster.bucket import make_bucket, read_bucket
from training.cluster.closed_group import check_closed, find_group, group_name, wait_for_group
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import IS_THERE, NOT_PREPARED
from training.cluster.ground import find_network
from training.cluster.policies import read_policy
from training.cluster.rights import policy_name, rights_of
from training.cluster.terms import Cluster

SPOT: Final = "spot.amazonaws.com"

Tell = Callable[[str], None]


def prepare(cluster: Cluster, cloud: Cloud, url: str, tell: Tell) -> tuple[str, ...]:
    """Makes what is missing; what it made, in words."""
    cloud.check_region()
    read_bucket(url)  # refused before the account is asked
    tell(f"account {cloud.account}, region {cloud.region}")
    made = []
    for what, is_new in _all(cluster, cloud, url):
        tell(f"{'made' if is_new else 'was there'}: {what}")
        if is_new:
            made.append(what)
    return tuple(made)


def _all(cluster: Cluster, cloud: Cloud, url: str) -> Iterator[tuple[str, bool]]:
    bucket, prefix = read_bucket(url)
    yield f"bucket {bucket}", make_bucket(cloud, bucket, prefix)
    for name, policy in rights_of(cluster, cloud, url).items():
        yield f"role {name}", _make_role(cloud, name, policy_name(cluster, cloud), policy)
        yield f"instance profile {name}", _make_profile(cloud, name)
    if any(each.is_spot for each in cluster.workers):
        yield "EC2's own role for spot machines", _make_spot_role(cloud)
    yield f"security group {group_name(cluster)}", _make_group(cluster, cloud)


def _make_role(cloud: Cloud, name: str, own: str, policy: str) -> bool:
    """Its rights are written anew each time: those of another cluster or region stand beside them."""
    is_new = not _is_there(cloud, "iam", "get_role", RoleName=name)
    if is_new:
        cloud.ask("iam", "create_role", RoleName=name, AssumeRolePolicyDocument=read_policy("trust-ec2"))
    cloud.ask("iam", "put_role_policy", RoleName=name, PolicyName=own, PolicyDocument=policy)
    return is_new


def _make_profile(cloud: Cloud, name: str) -> bool:
    """What hands the role of the same name to a machine."""
    is_new = not _is_there(cloud, "iam", "get_instance_profile", InstanceProfileName=name)
    if is_new:
        cloud.ask("iam", "create_instance_profile", InstanceProfileName=name)
    roles = cloud.ask("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]["Roles"]
    if not roles:
        cloud.ask("iam", "add_role_to_instance_profile", InstanceProfileName=name, RoleName=name)
    return is_new


def _make_spot_role(cloud: Cloud) -> bool:
    """Once in an account, before its first spot machine: the head may not make it."""
    try:
        cloud.ask("iam", "create_service_linked_role", AWSServiceName=SPOT)
    except CrpbotError as error:
        if error.reason != IS_THERE:
            raise
        return False
    return True


def _make_group(cluster: Cluster, cloud: Cloud) -> bool:
    """Its members reach each other and the world; nobody else reaches them."""
    name, network = group_name(cluster), find_network(cloud)
    group = find_group(cluster, cloud, network)
    is_new = group is None
    if group is None:
        words = "crpbot training cluster: open to its own members alone"
        tags = [{"ResourceType": "security-group", "Tags": [{"Key": CLUSTER_TAG, "Value": cluster.name}]}]
        answer = cloud.ask(
            "ec2", "create_security_group", GroupName=name, Description=words, VpcId=network, TagSpecifications=tags
        )
        group = wait_for_group(cloud, str(answer["GroupId"]))
    check_closed(cluster, group)
    if not group.ways_in:
        among = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group.id}]}]
        cloud.ask("ec2", "authorize_security_group_ingress", GroupId=group.id, IpPermissions=among)
    return is_new


def _is_there(cloud: Cloud, service: str, action: str, **what: object) -> bool:
    try:
        cloud.ask(service, action, **what)
    except CrpbotError as error:
        if error.reason != NOT_PREPARED:
            raise
        return False
    return True
