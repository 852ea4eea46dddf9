"""What holds a stand-in machine together: its first process, below which all others of that machine stay.

`python -m tests.fake_aws.machine ROOT` runs ROOT/user-data as cloud-init does. A process whose parent ends falls to
this one, so that none is lost: at SIGTERM, and when the test that started it is gone, all of them are killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from serving.processes import adopt_orphans, descendants, kill_until_gone

LOOK_SECONDS = 0.1
KILL_SECONDS = 30.0
BEHIND = 5  # what stands for AWS shares the processor with its machines, and answers at once as AWS does


def main() -> int:
    """One machine, until it is switched off."""
    root, parent = Path(sys.argv[1]), os.getppid()
    adopt_orphans()
    os.nice(BEHIND)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: whoever started us decides
    with (root / "cloud-init.log").open("ab") as log:
        subprocess.Popen(
            ["/bin/bash", str(root / "user-data")],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while not asked and os.getppid() == parent:
        _reap()
        time.sleep(LOOK_SECONDS)
    left = kill_until_gone(lambda: descendants(os.getpid()), seconds=KILL_SECONDS)
    _reap()
    return len(left)


def _reap() -> None:
    """A machine's first process collects whoever ended; the machine itself stays on."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main())
