"""Waits until the head of a launch says that it is ready, and tells what it wrote last where it never does."""

from __future__ import annotations

import time
from typing import Final

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.boot import LAUNCH_TAG
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import clean
from training.cluster.ending import CLEAN_LOOKS, UNSURE_LOOKS, Tell
from training.cluster.mail import MOST_TEXT_BYTES, Boot, State, cluster_key
from training.cluster.patience import OUTAGE_SECONDS, Outage, persist
from training.cluster.post import BOOT_SECONDS, read_cluster_state
from training.cluster.sight import Instance, find_instances

LAST_LINES: Final = 15
ENDING: Final = frozenset({"shutting-down", "stopping", "stopped"})  # states of a machine that never gets ready


def wait_ready(
    boot: Boot,
    cloud: Cloud,
    files: Files,
    tell: Tell,
    *,
    limit_seconds: float = BOOT_SECONDS,
    outage_seconds: float = OUTAGE_SECONDS,
) -> State:
    """Until the head says that it is ready. UNAVAILABLE where it ended instead; who asked then ends the cluster.

    EC2 shows a new machine only after a while, so one look without it is not its end. A connection that is lost is
    waited for.
    """

    def see() -> tuple[State | None, list[Instance]]:
        state = read_cluster_state(files, boot)
        heads = [each for each in find_instances(cloud, LAUNCH_TAG, boot.launch) if each.is_head]
        return state, heads

    told, started, empty, looks = "", time.monotonic(), 0, UNSURE_LOOKS
    while True:
        state, heads = persist(see, Outage(outage_seconds), lambda why: tell(f"trying again: {why}"), cloud.wait)
        if state is not None and state.phase == "ready":
            tell(f"cluster {boot.cluster} is ready after {time.monotonic() - started:.0f} s")
            return state
        empty, looks = (0, CLEAN_LOOKS) if heads else (empty + 1, looks)
        is_gone = empty >= looks or (bool(heads) and heads[0].state in ENDING)
        words = "the head is gone" if is_gone else _waits_for(heads, state)
        if is_gone or (state is not None and state.phase == "ending"):
            why = state.ending if state is not None and state.ending else words
            raise _boot_fault(boot, cloud, files, f"ended while it was starting: {why}")
        if time.monotonic() - started > limit_seconds:
            raise _boot_fault(boot, cloud, files, f"was not ready after {limit_seconds / 60:g} minutes: {words}")
        if words != told:
            tell(words)
            told = words
        cloud.wait()


def _waits_for(heads: list[Instance], state: State | None) -> str:
    if not heads:
        return "EC2 does not show the head"
    if heads[0].state != "running":
        return f"the head {heads[0].id} is {heads[0].state}"
    if state is None:
        return f"the head {heads[0].id} runs: it installs its programs"
    return f"the head {heads[0].id} says: {state.phase}"


def _boot_fault(boot: Boot, cloud: Cloud, files: Files, what: str) -> CrpbotError:
    """With AWS's reason and the last lines that the machine wrote, in the bucket or on its console."""
    reason = tail = ""
    try:
        reason, console = _ask_head(boot, cloud)
        tail = "\n".join((_trouble(boot, files) or console).splitlines()[-LAST_LINES:])
    except CrpbotError as error:
        tail = tail or f"(not known: {error.detail})"
    return CrpbotError(
        Code.UNAVAILABLE,
        f"the head of {boot.cluster} {what}{f' ({reason})' if reason else ''}; remedy: crpbot cluster down, then see "
        f"what it wrote last:\n{tail or '(nothing is known of it yet)'}",
        reason="HEAD_FAILED",
    )


def _trouble(boot: Boot, files: Files) -> str:
    """What machines of the launch wrote into the bucket when their boot failed."""
    names = files.stamps(cluster_key(boot.cluster, boot.launch, "trouble/"))
    texts = [files.read(name, most=MOST_TEXT_BYTES).decode(errors="replace") for name in names]
    return "\n".join(text.strip() for text in texts)


def _ask_head(boot: Boot, cloud: Cloud) -> tuple[str, str]:
    """Why EC2 says that the head ended, and what its console shows; both may be empty.

    `Latest` is the console as it is now, which machines on Nitro have, as all of ours are; else EC2 keeps what it saw
    last, minutes ago.
    """
    tags = [{"Name": f"tag:{LAUNCH_TAG}", "Values": [boot.launch]}, {"Name": "tag:ray-node-type", "Values": ["head"]}]
    reason = console = ""
    for group in cloud.pages("ec2", "describe_instances", "Reservations", Filters=tags):
        for each in group["Instances"]:
            reason = clean(each.get("StateReason", {}).get("Message", "")) or reason
            shown = cloud.ask("ec2", "get_console_output", InstanceId=each["InstanceId"], Latest=True)
            lines = shown.get("Output", "").splitlines()
            console = "\n".join(line.rstrip() for line in lines) or console
    return reason, console
