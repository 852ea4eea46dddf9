"""What is asked of a bucket is asked again for a while before a training is given up for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from core.errors import Code, CrpbotError
from core.files import Files

# UNAUTHENTICATED too: a machine's credentials come from its metadata service, which does not always answer.
OUT_OF_REACH: Final = frozenset({Code.UNAVAILABLE, Code.UNAUTHENTICATED})
TRIES: Final = 5
PAUSE_SECONDS: Final = 5.0  # at first; a machine with a GPU that waits costs, and its work costs more

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
