"""Which keys `ray_cluster.yaml` has, and what each may hold: one table. Ray and EC2 check much of it late, or never.

Ray takes any key of a provider and of a machine without a word, and a key that is misspelt is its default: a machine
that is stopped instead of ended, a disk that stays, credentials that any forged request can read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from training.cluster.source import Path_, Source, nearest

RAY_MOST_NAME: Final = 40  # characters of a cluster's name: with Ray's own words it must stay a tag and part of names


@dataclass(frozen=True, slots=True)
class Value:
    """One value: what it may be, in code and in words, and why."""

    allows: Callable[[object], bool]
    limit: str
    remedy: str
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Keys that are known, each with its shape; others are refused. `never`: keys of EC2 or Ray that may not stand."""

    keys: Mapping[str, Shape]
    is_required: bool = True
    never: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Each:
    """A list, or keys with names of one's own, of one shape."""

    shape: Shape
    as_list: bool = True
    is_required: bool = True


Shape: TypeAlias = Value | Group | Each


def exactly(value: object, remedy: str, *, is_required: bool = True) -> Value:
    def is_it(found: object) -> bool:
        return type(found) is type(value) and found == value

    word = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else repr(value)
    return Value(is_it, f"must be {word}", f"{remedy}", is_required)


def whole(low: int, high: int, remedy: str) -> Value:
    def is_in(found: object) -> bool:
        return type(found) is int and low <= found <= high

    return Value(is_in, f"must be a whole number from {low} to {high}", remedy)


def text(pattern: str, limit: str, remedy: str) -> Value:
    def fits(found: object) -> bool:
        return isinstance(found, str) and re.fullmatch(pattern, found) is not None

    return Value(fits, f"must be {limit}", remedy)


def empty(kind: type, remedy: str) -> Value:
    return Value(lambda found: isinstance(found, kind) and not found, "must be empty", remedy)


def number(low: float, high: float, remedy: str, *, is_required: bool = True) -> Value:
    def is_in(found: object) -> bool:
        return type(found) in {int, float} and low <= found <= high  # type: ignore[operator]  # a number by then

    return Value(is_in, f"must be a number from {low:g} to {high:g}", remedy, is_required)


COMMANDS: Final = empty(
    list, "write []: without the list Ray's own stands there, and over SSH, which no machine of ours has"
)
TAG: Final = Group(
    {
        "Key": text(r"[\w.:/=+@-]{1,128}", "1 to 128 letters, digits and . : / = + @ -", "write a name of a tag"),
        "Value": text(r"[\w .:/=+@-]{0,256}", "at most 256 letters, digits, spaces and . : / = + @ -", "quote it"),
    }
)
DISK: Final = Group(
    {
        "VolumeSize": whole(8, 1_000, "name the GB of the disk; each costs while the machine lives"),
        "VolumeType": exactly("gp3", "write gp3: the prices here know no other disk"),
        "Encrypted": exactly(True, "write true: it costs nothing"),
        "KmsKeyId": exactly(
            "alias/aws/ebs",
            "write alias/aws/ebs: the account's default may be a key that these roles may not use",
        ),
        "DeleteOnTermination": exactly(True, "write true: a disk that is left costs on, and nobody sees it"),
    }
)
NODE_CONFIG: Final = Group(
    {
        "InstanceType": text(r"[a-z0-9-]+\.[a-z0-9-]+", "a type of EC2, as g4dn.xlarge", "name one with a price"),
        "ImageId": text(
            r"resolve:ssm:/aws/service/[\w./-]+|ami-[0-9a-f]{8,17}",
            "an image's id, or resolve:ssm: and a public parameter of AWS's",
            "name it: Ray's default is an image whose system cannot hold our packages",
        ),
        "IamInstanceProfile": Group({"Name": text(r"[\w+=,.@-]{1,128}", "a profile's name", "name ours")}),
        "InstanceInitiatedShutdownBehavior": exactly(
            "terminate", "write terminate: the watchdog and the dead man's limit end a machine by shutting it down"
        ),
        "MetadataOptions": Group(
            {
                "HttpEndpoint": exactly("enabled", "write enabled: the notice of a spot machine is read there"),
                "HttpTokens": exactly("required", "write required: IMDSv2 keeps forged requests from credentials"),
                "HttpPutResponseHopLimit": exactly(1, "write 1: there are no containers here"),
            }
        ),
        "BlockDeviceMappings": Each(
            Group({"DeviceName": text(r"/dev/[a-z0-9]+", "a device, as /dev/xvda", "name it"), "Ebs": DISK})
        ),
        "TagSpecifications": Each(
            Group(
                {
                    "ResourceType": text(r"instance|volume", "instance or volume", "name one of the two"),
                    "Tags": Each(TAG),
                }
            )
        ),
        "InstanceMarketOptions": Group(
            {
                "MarketType": exactly("spot", "write spot, or take the group away for an on-demand machine"),
                "SpotOptions": Group(
                    {"MaxPrice": text(r"\d+\.\d+", 'dollars an hour as text, as "0.30"', "quote it")},
                    is_required=False,
                ),
            },
            is_required=False,
        ),
        "CreditSpecification": Group(
            {"CpuCredits": text(r"unlimited|standard", "unlimited or standard", "write one")}, is_required=False
        ),
    },
    never={
        "KeyName": "take it away: no machine has SSH",
        "UserData": "take it away: the launcher makes it, because it holds the end of this very launch",
        "SubnetIds": "take it away: the launcher finds those of provider.availability_zone",
        "SubnetId": "take it away: the launcher finds those of provider.availability_zone",
        "SecurityGroupIds": "take it away: the launcher finds that of provider.security_group.GroupName",
        "NetworkInterfaces": "take it away: it would go past the security group",
    },
)
NODE_TYPE: Final = Group(
    {
        "resources": Each(whole(0, 1_000, "write whole numbers: Ray refuses others"), as_list=False),
        "min_workers": exactly(0, "write 0: a least number of machines is paid for without work"),
        "max_workers": whole(0, 100, "name how many there may be at once"),
        "priority": Value(lambda found: type(found) is int, "must be a whole number", "write one", is_required=False),
        "node_config": NODE_CONFIG,
    }
)
FILE: Final = Group(
    {
        "cluster_name": text(
            rf"[A-Za-z0-9][A-Za-z0-9-]{{0,{RAY_MOST_NAME - 1}}}",
            f"1 to {RAY_MOST_NAME} letters, digits and dashes",
            "shorten it: it is a tag, and a part of names in the bucket",
        ),
        "max_workers": whole(1, 100, "name how many workers there may be together"),
        "idle_timeout_minutes": number(0.1, 60, "name the minutes after which an idle worker ends"),
        "upscaling_speed": number(0.1, 100, "write 1.0", is_required=False),
        "provider": Group(
            {
                "type": exactly("aws", "write aws"),
                "region": text(r"[a-z]{2}(-[a-z]+)+-\d", "a region, as us-east-1", "name yours"),
                "availability_zone": text(
                    r"[a-z0-9-]+(,[a-z0-9-]+)*", "zones with commas between them, without spaces", "name the region's"
                ),
                "cache_stopped_nodes": exactly(
                    False, "write false: the default stops machines, and their disks go on costing"
                ),
                "use_internal_ips": exactly(True, "write true: nothing is reached from outside"),
                "disable_node_updaters": exactly(True, "write true: Ray's updaters are SSH"),
                "security_group": Group(
                    {"GroupName": text(r"[\w .:/()#,@+=&;{}!$*-]{1,255}", "a group's name", "name ours")},
                    never={"IpPermissions": "take it away: the group is open to its own members alone"},
                ),
                "ray_version": text(r"\d+\.\d+\.\d+", "a version of Ray, as 2.60.0", "name that of requirements.lock"),
                "python_version": text(r"3\.\d+", 'a version of Python in quotes, as "3.11"', "name the project's"),
            }
        ),
        "auth": empty(dict, "write {}: nobody logs in, and Ray makes no key"),
        "head_node_type": text(r"[\w.-]{1,64}", "a name of available_node_types", "name the head's"),
        "available_node_types": Each(NODE_TYPE, as_list=False),
        **dict.fromkeys(
            (
                *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
                *("head_start_ray_commands", "worker_start_ray_commands"),
            ),
            COMMANDS,
        ),
        "file_mounts": empty(dict, "write {}: the code comes from the bucket by its hash"),
    },
    never={"docker": "take it away: the machines run our environment itself, and the metadata limit allows no hop"},
)


def check_shape(source: Source) -> None:
    """Refuses the first key that is unknown, missing or holds what it may not."""
    _check(source, FILE, source.content, ())


def _check(source: Source, shape: Shape, found: object, path: Path_) -> None:
    if isinstance(shape, Value):
        if not shape.allows(found):
            raise source.refused(path, "nothing" if found is None else found, shape.limit, shape.remedy)
    elif isinstance(shape, Each) and shape.as_list:
        if not isinstance(found, list) or not found:
            raise source.refused(path, found, "must be a list with something in it", "write it with dashes")
        for place, each in enumerate(found):
            _check(source, shape.shape, each, (*path, place))
    elif not isinstance(found, dict) or not found:
        raise source.refused(path, found, "must be a group of keys", "write the keys below it")
    elif isinstance(shape, Each):
        for key, value in found.items():
            _check(source, shape.shape, value, (*path, str(key)))
    else:
        _check_group(source, shape, found, path)


def _check_group(source: Source, shape: Group, found: dict[str, object], path: Path_) -> None:
    for key in found:
        if key in shape.never:
            raise source.fault((*path, key), "may not stand here", shape.never[key])
        if key not in shape.keys:
            raise source.fault((*path, str(key)), "is an unknown key", nearest(str(key), tuple(shape.keys)))
    for key, below in shape.keys.items():
        if key in found:
            _check(source, below, found[key], (*path, key))
        elif below.is_required:
            limit = below.limit if isinstance(below, Value) else "must be there"
            remedy = below.remedy if isinstance(below, Value) else "write it as the repository's file does"
            raise source.fault((*path, key), f"is missing and {limit}", remedy)
