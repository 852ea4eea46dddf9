"""AWS as the training cluster needs it: the services of one region, and every failure as one sentence with a remedy.

Credentials are found by botocore's own usual ways and never pass through here.
"""

from __future__ import annotations

import time
from difflib import get_close_matches
from functools import cache, cached_property
from typing import Any, Final

from core.errors import Code, CrpbotError
from training.cluster.cloud_errors import explain

PARTITIONS: Final = ("aws", "aws-cn", "aws-us-gov")
CONNECT_SECONDS: Final = 5  # a region that does not answer by then is not reached
ANSWER_SECONDS: Final = 30  # RunInstances and CreateBucket are the slowest calls
# Between two looks at the same: EC2 shows what was just begun only after a moment, and tells when in whole seconds.
LOOK_SECONDS: Final = 3.0
TRIES: Final = 4  # of a call that AWS throttles or that gets no answer, with botocore's growing pauses

Answer = dict[str, Any]  # Any: what botocore parsed, as AWS documents it for each call


class Cloud:
    """One region. Nothing is loaded and nobody is asked before the first call."""

    def __init__(self, region: str, *, look_seconds: float = LOOK_SECONDS) -> None:
        self.region = region
        self._look_seconds = look_seconds
        self._clients: dict[str, Any] = {}  # Any: botocore makes its clients' classes when it runs

    def in_region(self, region: str) -> Cloud:
        """The same account elsewhere, by the same sign-in: who is asked for a code there is asked once."""
        if region == self.region:
            return self
        other = Cloud(region, look_seconds=self._look_seconds)
        other._session = self._session
        return other

    def wait(self) -> None:
        """Until another look may show something else."""
        time.sleep(self._look_seconds)

    @cached_property
    def account(self) -> str:
        """The account of the credentials in use: the first thing to ask, because it needs no right at all."""
        return str(self.ask("sts", "get_caller_identity")["Account"])

    def check_region(self) -> None:
        """Refuses a region that AWS does not have, before a name that resolves to nothing is waited for."""
        known = sorted(region for part in PARTITIONS for region in self._session.get_available_regions("ec2", part))
        if self.region not in known:
            near = get_close_matches(self.region, known, n=3) or known[:3]
            raise CrpbotError(
                Code.INVALID_ARGUMENT,
                f"unknown AWS region {self.region[:64]!r}; did you mean {', '.join(near)}? remedy: provider.region in "
                "ray_cluster.yaml (a region younger than the installed botocore needs a newer one)",
                reason="UNKNOWN_REGION",
            )

    def ask(self, service: str, action: str, **asked: Any) -> Answer:
        """One call, `ask("ec2", "run_instances", ...)`; CrpbotError where AWS refuses or cannot be reached."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - `crpbot --help` need not load it

        name = f"{service}:{''.join(part.capitalize() for part in action.split('_'))}"
        try:
            answer: Answer = getattr(self._client(service), action)(**asked)
        except (BotoCoreError, ClientError) as error:
            raise explain(error, name, self.region, asked) from None  # AWS's own text may quote the request
        return answer

    def pages(self, service: str, action: str, field: str, **asked: Any) -> list[Answer]:
        """All pages of a listing, joined: what each holds under `field`."""
        found: list[Answer] = []
        token: dict[str, str] = {}
        while True:
            answer = self.ask(service, action, **asked, **token)
            found += answer.get(field, [])
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    @cached_property
    def _session(self) -> Any:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - as above
        from botocore.session import Session  # noqa: PLC0415

        try:
            session = Session()
            session.register_component("data_loader", _descriptions())
            session.get_scoped_config()  # where AWS_PROFILE names one that does not exist
        except BotoCoreError as error:
            raise explain(error, "sign-in", self.region, {}) from None
        return session

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config  # noqa: PLC0415 - as above

            config = Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ANSWER_SECONDS,
                retries={"mode": "standard", "total_max_attempts": TRIES},
            )
            self._clients[service] = self._session.create_client(service, region_name=self.region, config=config)
        return self._clients[service]


@cache
def _descriptions() -> Any:
    """AWS's own descriptions of its calls, read once for all regions: some ten megabytes of JSON, half a second."""
    from botocore.loaders import Loader  # noqa: PLC0415 - as above

    return Loader()
