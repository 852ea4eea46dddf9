"""A group of workers that teach one network together, begun again wherever a machine of theirs is taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.errors import Code, CrpbotError
from training.runs import Interrupted

# Of a group: a machine that breaks one group after the other is no place to go on.
MOST_FAILURES: Final = 3
KEPT: Final = 2  # the newest, and the one before it until the newest is whole

Ending = str | tuple[str, str, str] | None
"""None: all is done. `LEFT`, or code, words and reason of an error: its class does not travel."""

LEFT: Final = "left"  # the state is kept, and another machine is to go on from it
# Of these another machine may have more: memory, a disk, a way to the bucket, the keys of its role.
OF_ONE_MACHINE: Final = {Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.UNAUTHENTICATED}


def fit(loop: Callable[[], Ending], *, name: str, storage: str, workers: int, gpu: bool) -> Any:  # Any: Ray's own
    """Runs the loop on each worker until all have returned, and gives the checkpoint that was kept last.

    Workers whose machine is about to be taken away keep their state and leave, so that nothing waits for its end; then
    the run begins again from there, on other machines, as often as that happens. A machine that is gone before its
    workers have left is no failure of the run's either.
    """
    while True:
        result = _run(loop, name=name, storage=storage, workers=workers, gpu=gpu)
        ending: Ending = result.return_value
        if ending is None:
            return result.checkpoint
        if not isinstance(ending, str):
            code, detail, reason = ending
            raise CrpbotError(Code(code), detail, reason=reason)


def ending(work: Callable[[], None]) -> Ending:
    """How the work of a worker ends, as it goes back to whoever started the run."""
    try:
        work()
    except Interrupted:
        return LEFT
    except CrpbotError as error:
        if error.code in OF_ONE_MACHINE:
            raise
        return error.code.value, error.detail, error.reason  # all workers meet it at the same step, every time
    return None


def _run(loop: Any, *, name: str, storage: str, workers: int, gpu: bool) -> Any:
    from ray.train import CheckpointConfig, RunConfig, ScalingConfig, TrainingFailedError  # noqa: PLC0415
    from ray.train.torch import TorchTrainer  # noqa: PLC0415
    from ray.train.v2.api.config import FailureConfig  # noqa: PLC0415  # ray.train's own name hides what is new in it

    trainer = TorchTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu),
        run_config=RunConfig(
            name=name,
            storage_path=storage,
            failure_config=FailureConfig(max_failures=MOST_FAILURES, max_preemption_failures=-1),
            checkpoint_config=CheckpointConfig(num_to_keep=KEPT),
        ),
    )
    try:
        return trainer.fit()
    except TrainingFailedError as error:
        last = str(error).strip().splitlines()[-1][:300]
        detail = f"workers of run {name} failed {MOST_FAILURES + 1} times, last with: {last}; what it reached is kept"
        raise CrpbotError(Code.UNAVAILABLE, detail, reason="WORKERS_FAILED") from error
