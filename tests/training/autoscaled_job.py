"""A Ray Train job of two workers on a cluster that has none yet: `python -m tests.training.autoscaled_job HEAD FOLDER`.

Writes JSON into the folder: what the job reported, and how many machines Ray had alive, each time that changed.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

WORKERS, EPOCHS = 2, 3
SAMPLE_SECONDS = 0.25
SEEN = "seen.json"
DOWN_SECONDS = 60.0  # the limit that was promised; some six are needed


def learn() -> None:
    """What each worker runs: it agrees with the other on a sum, once an epoch."""
    import torch
    from ray import train

    context: Any = train.get_context()  # Any: untyped
    for epoch in range(1, EPOCHS + 1):
        total = torch.ones(1)
        torch.distributed.all_reduce(total)
        told = {"epoch": epoch, "total": total.item(), "backend": torch.distributed.get_backend()}
        told |= {"world_size": context.get_world_size()}
        if context.get_world_rank() == 0:
            folder = Path(f"epoch-{epoch}")
            folder.mkdir()
            (folder / "state.txt").write_text(str(epoch))
            train.report(told, checkpoint=train.Checkpoint.from_directory(folder))
        else:
            train.report(told)


def main() -> int:
    """The job, and what was seen of the cluster before, during and after it."""
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    address, folder = sys.argv[1:]
    nodes: Any = ray.nodes  # Any: untyped
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    history: list[int] = []
    is_over, counting = threading.Event(), threading.Lock()

    def count() -> int:
        with counting:  # an answer that is older than another must not stand behind it
            alive: int = sum(node["Alive"] for node in nodes())
            if not history or history[-1] != alive:
                history.append(alive)
            return alive

    def sample() -> None:
        while not is_over.wait(SAMPLE_SECONDS):
            count()

    before = count()
    sampling = threading.Thread(target=sample)
    sampling.start()
    try:
        trainer = TorchTrainer(
            learn,
            scaling_config=ScalingConfig(num_workers=WORKERS, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(name="autoscaled", storage_path=folder),
        )
        result: Any = trainer.fit()  # Any: untyped
        ended = time.monotonic()
        while count() > 1 and time.monotonic() - ended < DOWN_SECONDS:
            time.sleep(SAMPLE_SECONDS)
        seen = {"before": before, "after": count(), "down_seconds": time.monotonic() - ended}
    finally:
        is_over.set()
        sampling.join()
    kept = Path(result.checkpoint.path) / "state.txt"
    told = {"metrics": result.metrics, "kept": kept.read_text(), "counts": history}
    (Path(folder) / SEEN).write_text(json.dumps(seen | told))  # Ray prints too
    return 0


if __name__ == "__main__":
    sys.exit(main())
