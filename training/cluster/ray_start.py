"""`ray start`, which gives a machine three minutes to be known to its cluster: Ray's own 30 s pass on a busy one."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Final

from ray._private import services as private_services
from ray.scripts import scripts as private_scripts

from core.again import again

JOIN_SECONDS: Final = 180.0
services: Any = private_services  # Any: modules without types
scripts: Any = private_scripts
get_node: Any = services.get_node


class NotYet(RuntimeError):  # noqa: N818 - no error: it is asked again
    """All processes of this machine live, and the cluster does not know it yet."""


def ask(*told: Any) -> Any:  # Any: as above
    """Whether the cluster knows this machine; where one of its processes has ended, it never will."""
    try:
        return get_node(*told)
    except RuntimeError as error:
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            raise NotYet(*error.args) from error
        raise


if __name__ == "__main__":
    services.get_node = again(ask, NotYet, seconds=JOIN_SECONDS, clock=time)
    sys.argv[0] = "ray"
    scripts.main()
