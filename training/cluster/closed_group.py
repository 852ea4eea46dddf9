"""The cluster's security group lets in its own members and nobody else: looked up, and refused where it is open."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from core.errors import Code, CrpbotError
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NO_SUCH_GROUP
from training.cluster.terms import Cluster

GROUP_TRIES: Final = 5  # looks

Way = dict[str, Any]  # Any: AWS's description of a rule


class Group(NamedTuple):
    """A security group as EC2 shows it."""

    id: str
    ways_in: tuple[Way, ...]


def group_name(cluster: Cluster) -> str:
    return str(cluster.content["provider"]["security_group"]["GroupName"])


def find_group(cluster: Cluster, cloud: Cloud, network: str) -> Group | None:
    """The cluster's security group, whatever it lets in."""
    filters = [{"Name": "group-name", "Values": [group_name(cluster)]}, {"Name": "vpc-id", "Values": [network]}]
    found = cloud.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)
    return Group(str(found[0]["GroupId"]), tuple(found[0]["IpPermissions"])) if found else None


def wait_for_group(cloud: Cloud, name: str) -> Group:
    """EC2 shows a group that was just made only after a moment."""
    tries = 0
    while True:
        try:
            found = cloud.ask("ec2", "describe_security_groups", GroupIds=[name])["SecurityGroups"]
            return Group(name, tuple(found[0]["IpPermissions"]))
        except CrpbotError as error:
            tries += 1
            if error.reason != NO_SUCH_GROUP or tries == GROUP_TRIES:
                raise
            cloud.wait()


def check_closed(cluster: Cluster, group: Group) -> None:
    """FAILED_PRECONDITION where it lets in anybody but its own members."""
    if foreign := [way for way in group.ways_in if not _is_inside(way, group.id)]:
        ports = ", ".join(str(way.get("FromPort", "all")) for way in foreign)
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"security group {group_name(cluster)} ({group.id}) lets others in (port {ports}); remedy: remove these "
            "rules, or give the cluster another provider.security_group.GroupName in ray_cluster.yaml",
            reason="GROUP_IS_OPEN",
        )


def _is_inside(way: Way, group: str) -> bool:
    names = {each.get("GroupId") for each in way.get("UserIdGroupPairs", ())}
    others = [*way.get("IpRanges", ()), *way.get("Ipv6Ranges", ()), *way.get("PrefixListIds", ())]
    return names == {group} and not others
