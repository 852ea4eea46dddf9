"""What is asked of AWS is asked again for a while before a training is given up for it.

A machine of the cluster tries a few times; a laptop bears an outage for minutes, for routers restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.cloud_errors import THROTTLED

# UNAUTHENTICATED too: a machine's credentials come from its metadata service, which does not always answer.
OUT_OF_REACH: Final = frozenset({Code.UNAVAILABLE, Code.UNAUTHENTICATED})
TRIES: Final = 5
PAUSE_SECONDS: Final = 5.0  # at first; a machine with a GPU that waits costs, and its work costs more
OUTAGE_SECONDS: Final = 600.0  # a router that restarts takes less; the cluster works on meanwhile, and ends itself

Answer = TypeVar("Answer")


def patiently(files: Files, ask: Callable[[], Answer]) -> Answer:
    """Its answer, asked up to five times with growing pauses; it must do no harm to ask for it twice."""
    for tries in range(1, TRIES):
        try:
            return ask()
        except CrpbotError as error:
            if error.code not in OUT_OF_REACH:
                raise
        time.sleep(tries * min(PAUSE_SECONDS, files.look_seconds))
    return ask()


class Outage:
    """Failures behind one another that may pass, counted from the first of them.

    The clock stands still while the laptop sleeps (`time.monotonic`): whoever wakes it has all of the time to connect.
    """

    def __init__(self, seconds: float = OUTAGE_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._now = seconds, now
        self._since: float | None = None

    def is_borne(self, error: CrpbotError) -> bool:
        """Whether to ask again: the failure may pass, and those before it have not lasted for too long."""
        if not may_pass(error):
            return False
        now = self._now()
        if self._since is None:
            self._since = now
        return now - self._since <= self._seconds

    def end(self) -> None:
        """There was an answer: the next failure is the first of its own outage."""
        self._since = None


def may_pass(error: CrpbotError) -> bool:
    """Whether the same may be answered in a minute: nobody answered, or AWS takes no more requests for the moment."""
    return error.code is Code.UNAVAILABLE or error.reason == THROTTLED


def persist(ask: Callable[[], Answer], outage: Outage, tell: Callable[[str], None], wait: Callable[[], None]) -> Answer:
    """Its answer, asked again while the outage is borne; it must do no harm to ask for it twice.

    `tell` hears why it is asked again, once for each reason.
    """
    told = ""
    while True:
        try:
            return ask()
        except CrpbotError as error:
            if not outage.is_borne(error):
                raise
            if error.detail != told:
                told = error.detail
                tell(told)
        wait()
