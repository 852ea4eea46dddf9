"""Launchers that are killed with -9: `python -m tests.training.killed_launcher FOLDER SEED`, asked over its input.

Of two lines that it reads the first begins one launch in a process of its own and kills it at a random moment; it
answers with how far the launch was told to be. The second runs what `crpbot cluster down` runs, unless it says
`by another`; it answers with what was ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from core.adapters.files.places import open_files
from tests.training.launching import LIMITS, LOOK_SECONDS, ROOT
from training.cluster.cloud import Cloud
from training.cluster.launcher import default_url, end, launch
from training.cluster.terms import Cluster, read_cluster

# After how many words of a launch it is killed. It says its account, three images and, when it runs, the head: most
# kills come around that call, where most can go wrong.
MOMENTS = (0, 1, 2, 3, 4, 4, 4, 5, 5, 5)
BY_ANOTHER = "by another"
MOST_SECONDS = 0.8  # after that word: from the last image to the head it takes a quarter of a second, or more


def main() -> int:
    """One round for each two lines of the input."""
    folder, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    cluster = read_cluster(ROOT / "ray_cluster.yaml")
    for _ in sys.stdin:
        _answer({"steps": _kill_one(cluster, folder, chance)})
        if sys.stdin.readline().strip() == BY_ANOTHER:
            continue
        cloud = Cloud(cluster.region, look_seconds=LOOK_SECONDS)
        said: list[str] = []
        left = end(cluster, cloud, None, said.append, regions=folder / "regions.json")
        _answer({"ended": left.instances, "said": said})
    return 0


def _answer(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _kill_one(cluster: Cluster, folder: Path, chance: random.Random) -> int:
    """How many words the launch had said when it was killed."""
    wanted, more = chance.choice(MOMENTS), chance.uniform(0.0, MOST_SECONDS)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _launch(cluster, folder, writer)
    os.close(writer)
    steps = 0
    while steps < wanted and os.read(reader, 1):
        steps += 1
    time.sleep(more)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    return steps


def _launch(cluster: Cluster, folder: Path, writer: int) -> None:
    try:
        cloud = Cloud(cluster.region, look_seconds=LOOK_SECONDS)
        files = open_files(default_url(cloud))
        launch(cluster, LIMITS, cloud, files, lambda _: _say(writer), regions=folder / "regions.json")
    finally:
        os._exit(0)  # nothing of the parent's is tidied up twice


def _say(writer: int) -> None:
    os.write(writer, b".")


if __name__ == "__main__":
    sys.exit(main())
