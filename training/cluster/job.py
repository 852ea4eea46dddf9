"""The program of a job on a cluster: `python -m training.cluster.job URL JOB`, as the head gives it to Ray."""

from __future__ import annotations

import os
import sys
from typing import Final

from core.adapters.files.places import open_files
from core.errors import Code, CrpbotError
from training.cluster.mail import MOST_TEXT_BYTES, job_key
from training.cluster.order import JobOrder, read_order
from training.cluster.work import train_job

CODE: Final = "CRPBOT_CODE_SHA256"  # of the bundle that this machine has installed
FAILED: Final = 1


def read_job(url: str, job: str) -> JobOrder:
    """The order of a job; refused where it is another one's, or of other code than this machine runs."""
    order = read_order(open_files(url).read(job_key(job, "order.json"), most=MOST_TEXT_BYTES).decode())
    if order.id != job:
        detail = f"order.json of job {job} is of {order.id}: it was changed; give the job again"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="ORDER_CHANGED")
    installed = os.environ.get(CODE, order.code)
    if installed != order.code:
        detail = (
            f"job {job} is of code {order.code[:12]}, this cluster runs {installed[:12]}: "
            "end it with `crpbot cluster down` and run the same command again"
        )
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="OTHER_CODE")
    return order


def main(url: str, job: str) -> int:
    """Trains the job; what it could not do it says in one sentence."""
    try:
        train_job(read_job(url, job), url, open_files, address="auto")
    except CrpbotError as error:
        sys.stderr.write(f"{error.detail}\n")
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
