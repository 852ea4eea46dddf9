"""Begins a cluster: one machine, the head, which does everything else. Whatever goes wrong here leaves nothing running.

Before the head is asked for, all that it needs lies in the bucket: from then on it neither needs us nor outlives its
own end, even if this program is killed in the next line.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.boot import CLUSTER_TAG, Ground, autoscaler_config, head_request
from training.cluster.bucket import default_url
from training.cluster.bundle import code_key, pack_code
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NO_CAPACITY, PROFILE_NOT_SEEN, UNREACHED
from training.cluster.cost import lifetime_hours
from training.cluster.ending import Left, Tell, end, end_boot, end_launch
from training.cluster.ground import read_ground
from training.cluster.mail import Boot, cluster_key, write_boot
from training.cluster.post import ends_by_itself, utc
from training.cluster.preparation import prepare
from training.cluster.ready import wait_ready
from training.cluster.regions import REGIONS_FILE, known_regions, note_region
from training.cluster.sight import Instance, Sight, Volume, find_instances, look, other_places
from training.cluster.terms import Cluster, Limits

__all__ = [
    "Instance",
    "Left",
    "Sight",
    "Volume",
    "default_url",
    "end",
    "end_boot",
    "launch",
    "look",
    "prepare",
    "wait_ready",
]

PROFILE_TRIES: Final = 10  # looks: IAM tells EC2 of a new profile within half a minute


def launch(
    cluster: Cluster,
    limits: Limits,
    cloud: Cloud,
    files: Files,
    tell: Tell,
    *,
    packed: tuple[bytes, str] | None = None,
    regions: Path = REGIONS_FILE,
) -> Boot:
    """Checks everything, then starts the head. On any exception, Ctrl-C too, all of this launch has been ended.

    `packed`: the code and its hash, where a job was made of it before; else what the checkout has now.
    """
    cloud.check_region()
    tell(f"account {cloud.account}, region {cloud.region}")
    ground = read_ground(cluster, cloud, files.url)
    for name, image in ground.images.items():
        tell(f"image of {name}: {image}")
    _refuse_second(cluster, cloud, tell, regions)
    code, sha = packed or pack_code()
    if not files.stamps(code_key(sha)):
        files.write(code_key(sha), code)
        tell(f"code {sha[:12]} sent: {len(code):,} bytes")
    boot = _new_boot(cluster, limits, files.url, sha, time.time())
    config = autoscaler_config(cluster, boot, ground, code_key(sha))
    files.write(cluster_key(cluster.name, boot.launch, "boot.json"), write_boot(boot))
    files.write(cluster_key(cluster.name, boot.launch, "autoscaler.json"), json.dumps(config, indent=1).encode())
    note_region(cluster.name, cloud.region, regions)
    head = ""
    try:
        head = _start_head(cluster, boot, cloud, ground)
        tell(f"head {head} starts; {ends_by_itself(boot)}")
        _give_way(cluster, boot, cloud)
    except BaseException as error:
        _undo(boot, cloud, files, tell, head, may_have_begun=not head and _may_have_begun(error))
        raise
    return boot


def _new_boot(cluster: Cluster, limits: Limits, url: str, code: str, now: float) -> Boot:
    return Boot(
        cluster=cluster.name,
        launch=f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
        region=cluster.region,
        url=url,
        code=code,
        launched_at=now,
        ends_at=now + lifetime_hours(cluster, limits) * 3600.0,
        idle_minutes=limits.idle_minutes,
        head_type=cluster.head.name,
    )


def _refuse_second(cluster: Cluster, cloud: Cloud, tell: Tell, regions: Path) -> None:
    """Wherever the first one is: both would answer to one name."""
    places = [cloud.in_region(region) for region in known_regions(cluster.name, cloud.region, regions)]
    unseen: list[str] = []
    places += other_places(cluster, cloud, unseen, regions=regions)
    for words in unseen:
        tell(words)
    up = [each for place in places for each in find_instances(place, CLUSTER_TAG, cluster.name) if each.is_up]
    if up:
        first = up[0]
        raise CrpbotError(
            Code.ALREADY_EXISTS,
            f"cluster {cluster.name} is up already: {first.node_type or first.instance_type} {first.id} in "
            f"{first.zone}, {first.state} since {utc(first.since.timestamp())}, with {len(up) - 1} others; "
            "remedy: crpbot cluster submit gives it work, crpbot cluster down ends it",
            reason="CLUSTER_IS_UP",
        )


def _start_head(cluster: Cluster, boot: Boot, cloud: Cloud, ground: Ground) -> str:
    """One machine in the first zone that has one. A token of each zone makes a repeated call start no second one."""
    request = head_request(cluster, boot, ground, code_key(boot.code))
    full: CrpbotError | None = None
    for number, subnet in enumerate(ground.subnets):
        once = {**request, "SubnetId": subnet, "ClientToken": f"{boot.launch}-{number}"}
        try:
            return _run_once(cloud, once)
        except CrpbotError as error:
            if error.reason != NO_CAPACITY:
                raise
            full = error
    raise CrpbotError(
        Code.UNAVAILABLE,
        f"no {cluster.head.instance_type} in any of {len(ground.subnets)} zones of {cloud.region}; the last one said: "
        f"{full.detail if full else 'nothing'}",
        reason=NO_CAPACITY,
    )


def _run_once(cloud: Cloud, once: dict[str, object]) -> str:
    tries = 0
    while True:
        try:
            return str(cloud.ask("ec2", "run_instances", **once)["Instances"][0]["InstanceId"])
        except CrpbotError as error:
            tries += 1
            if error.reason != PROFILE_NOT_SEEN or tries == PROFILE_TRIES:
                raise
            cloud.wait()


def _give_way(cluster: Cluster, boot: Boot, cloud: Cloud) -> None:
    """Of two launches at once the one that EC2 began first stays. Two looks: EC2 tells of a new machine late."""
    for is_last in (False, True):
        heads = [each for each in find_instances(cloud, CLUSTER_TAG, cluster.name) if each.is_head and each.is_up]
        if heads and heads[0].launch != boot.launch:
            other = heads[0]
            raise CrpbotError(
                Code.ALREADY_EXISTS,
                f"cluster {cluster.name} was launched twice at once, and {other.id} in {other.zone} was first (since "
                f"{utc(other.since.timestamp())}); this launch has ended its own head; remedy: use the other one "
                "(crpbot cluster status)",
                reason="CLUSTER_IS_UP",
            )
        if not is_last:
            cloud.wait()


def _may_have_begun(error: BaseException) -> bool:
    """Whether a machine may live of which nobody told us: the answer was lost, or not waited for."""
    return not isinstance(error, CrpbotError) or error.reason in UNREACHED


def _undo(boot: Boot, cloud: Cloud, files: Files, hear: Tell, head: str, *, may_have_begun: bool) -> None:
    """Ends what this launch began. Where even that fails, says what will end it: the error that led here goes on."""

    def tell(words: str) -> None:
        with suppress(BaseException):  # a signal that waited, a terminal that is closed: the ending goes on
            hear(words)

    tell("the launch failed: ending what it began")
    try:
        if may_have_begun:
            tell("AWS did not say whether a machine was begun: it is looked for, a minute")
        end_launch(cloud, boot.launch, tell, head=head, is_sure=not may_have_begun)
    except BaseException as error:
        why = error.detail if isinstance(error, CrpbotError) else f"the ending was interrupted ({type(error).__name__})"
        tell(
            f"it is not sure that nothing of launch {boot.launch} is left: {why}. Run crpbot cluster down as soon as "
            f"AWS answers; if nobody does, {ends_by_itself(boot)}"
        )
        if not isinstance(error, CrpbotError):
            raise
    else:
        tell("nothing of this launch is left")
        _forget(boot, files, tell)


def _forget(boot: Boot, files: Files, tell: Tell) -> None:
    """A launch that is undone is not the newest one of its cluster."""
    try:
        for name in ("autoscaler.json", "boot.json"):
            files.remove(cluster_key(boot.cluster, boot.launch, name))
    except CrpbotError as error:
        tell(f"what launch {boot.launch} was told stays in the bucket: {error.detail}")
