"""The same jobs on any Ray cluster: given to its jobs API by address, with the code that they are of.

Candles, progress and models go through the same place as on AWS: a bucket, or a folder that all its machines see.
"""

from __future__ import annotations

import io
import shlex
import tempfile
import zipfile
from typing import Any, Final

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.mail import job_key
from training.cluster.order import JobOrder, write_order

OVER: Final = frozenset({"FAILED", "STOPPED"})  # without models: these may be tried again


def submit_to(address: str, files: Files, order: JobOrder, code: bytes) -> str:
    """Gives the job to the cluster and says Ray's name of it. The same job twice is ALREADY_EXISTS."""
    from ray.job_submission import JobSubmissionClient  # noqa: PLC0415  # seconds to load

    files.write(job_key(order.id, "order.json"), write_order(order).encode())
    try:
        client = JobSubmissionClient(address)
        name = _name(client, order.id, address)
        with tempfile.TemporaryDirectory() as folder:
            zipfile.ZipFile(io.BytesIO(code)).extractall(folder)  # our own, by its hash
            client.submit_job(
                entrypoint=shlex.join(["python", "-m", "training.cluster.job", files.url, order.id]),
                submission_id=name,
                runtime_env={"working_dir": folder},
                metadata={"job": order.id},
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        last = str(error).strip().splitlines()[-1][:300]
        raise CrpbotError(
            Code.UNAVAILABLE,
            f"the Ray cluster at {address} does not take the job: {last}; remedy: the address of its jobs API, such as "
            "http://127.0.0.1:8265, and its token in RAY_AUTH_TOKEN",
            reason="RAY_REFUSES",
        ) from error
    return name


def _name(client: Any, job: str, address: str) -> str:  # Any: Ray's client
    tries = [each for each in client.list_jobs() if (each.metadata or {}).get("job") == job]
    for each in tries:
        state = str(getattr(each.status, "value", each.status))
        if state not in OVER:
            raise CrpbotError(
                Code.ALREADY_EXISTS,
                f"job {job} was given to {address} already, it is {state.lower()}; remedy: follow it with `ray job "
                f"logs {each.submission_id} --address {address} --follow`, or give another order",
                reason="JOB_TWICE",
            )
    return f"{job}-try-{len(tries) + 1}" if tries else job
