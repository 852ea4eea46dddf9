"""The rights that the roles of a cluster's machines are to have: written by `prepare`, compared at each launch."""

from __future__ import annotations

import json

from core.errors import CrpbotError
from training.cluster.bucket import read_bucket
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NOT_PREPARED
from training.cluster.policies import read_policy
from training.cluster.terms import Cluster


def profiles_of(cluster: Cluster) -> dict[str, str]:
    """Node type -> the instance profile that the file gives it."""
    types = cluster.content["available_node_types"]
    machines = (cluster.head, *cluster.workers)
    return {each.name: types[each.name]["node_config"]["IamInstanceProfile"]["Name"] for each in machines}


def rights_of(cluster: Cluster, cloud: Cloud, url: str) -> dict[str, str]:
    """Role -> its policy for that place; the head's last. Each role has the name of its instance profile."""
    bucket, prefix = read_bucket(url)
    profiles = profiles_of(cluster)
    head = profiles.pop(cluster.head.name)
    facts = {
        "bucket": bucket,
        "prefix": prefix,
        "account": cloud.account,
        "region": cloud.region,
        "cluster": cluster.name,
    }
    kinds = {**dict.fromkeys(profiles.values(), "worker"), head: "head"}
    return {name: read_policy(f"{kind}-policy", **facts) for name, kind in kinds.items()}


def policy_name(cluster: Cluster, cloud: Cloud) -> str:
    """Of a role's own policy: those of another cluster or region stand beside it."""
    return f"{cluster.name}-{cloud.region}"


def has_rights(cluster: Cluster, cloud: Cloud, role: str, policy: str) -> bool:
    """Whether the role has exactly that policy of the cluster: not one of another bucket, nor an older one."""
    try:
        found = cloud.ask("iam", "get_role_policy", RoleName=role, PolicyName=policy_name(cluster, cloud))
    except CrpbotError as error:
        if error.reason != NOT_PREPARED:
            raise
        return False
    return bool(found["PolicyDocument"] == json.loads(policy))
