"""The options of whatever runs on AWS: which cluster, which bucket, and what it may cost at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from core.errors import invalid

CLUSTER_FILE: Final = Path("ray_cluster.yaml")
HOURS: Final = 4.0  # ten coins on four machines take less than one
DOLLARS: Final = 10.0  # at the highest rate of the file this is what four hours cost
IDLE_MINUTES: Final = 10.0  # long enough for a laptop to come back, and a few cents

File = Annotated[Path, typer.Option("--file", help="The cluster's description.")]
Region = Annotated[str | None, typer.Option("--region", help="Another region of AWS than the file's.")]
Bucket = Annotated[
    str | None,
    typer.Option("--bucket", help="Such as s3://NAME/training; the account's own if unset.", envvar="CLUSTER_URL"),
]
MaxHours = Annotated[float, typer.Option("--max-hours", help="The cluster ends after so long, whatever it does.")]
MaxDollars = Annotated[float, typer.Option("--max-dollars", help="And before it can have cost so much.")]
IdleMinutes = Annotated[float, typer.Option("--idle-minutes", help="And after so long without work.")]
Yes = Annotated[bool, typer.Option("--yes", help="Agree to the estimated cost without being asked.")]
Aws = Annotated[bool, typer.Option("--aws", help="Train on a cluster on AWS, which is ended afterwards.")]
Detach = Annotated[
    bool, typer.Option("--detach", "--keep-going", help="Leave once the job is given: the laptop may be closed.")
]


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """What was asked for."""

    file: Path = CLUSTER_FILE
    region: str | None = None
    bucket: str | None = None
    hours: float = HOURS
    dollars: float = DOLLARS
    idle_minutes: float = IDLE_MINUTES
    yes: bool = False
    detach: bool = False

    def check_alone(self) -> None:
        """Refuses what only means something on AWS; a bucket may stand in the environment."""
        if replace(self, bucket=None) != AwsOptions():
            detail = "--yes, --detach, --file, --region and limits are of a cluster: add --aws, or leave them out"
            raise invalid("options", detail, reason="OPTIONS_DO_NOT_FIT")
