"""The other machines of a launch end with its head: one whose first program never ran has no limit of its own."""

from __future__ import annotations

import logging
from typing import Final

from core.errors import CrpbotError
from training.cluster.boot import LAUNCH_TAG
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import NO_SUCH_INSTANCE
from training.cluster.sight import find_instances

LOG: Final = logging.getLogger("crpbot.crew")


def end_crew(cloud: Cloud, launch: str, *, own: str) -> tuple[str, ...]:
    """Ends every machine of the launch but `own`, until a look shows none that is up; the ids that were ended.

    Whoever calls it limits its time: AWS may be out of reach, or refuse a machine for ever.
    """
    ended: dict[str, None] = {}
    while True:
        others = [each for each in find_instances(cloud, LAUNCH_TAG, launch) if each.is_up and each.id != own]
        if not others:
            return tuple(ended)
        for each in others:
            try:
                cloud.ask("ec2", "terminate_instances", InstanceIds=[each.id])
            except CrpbotError as error:
                if error.reason != NO_SUCH_INSTANCE:  # it keeps none of the others
                    LOG.warning("%s cannot be ended: %s", each.id, error)
                continue
            LOG.warning("ended with its head: %s, %s", each.node_type or each.instance_type, each.id)
            ended[each.id] = None
        cloud.wait()
