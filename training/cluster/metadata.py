"""What AWS tells a machine about itself: its name, its address, and that it will be taken away in two minutes.

The second version of that service: a token first, which a page that makes a server fetch addresses cannot get. A proxy
is never used, and redirects are not followed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from core.errors import Code, CrpbotError

ENDPOINT: Final = "http://169.254.169.254"
# botocore's own: both ask the same, and wait for it as long
ENDPOINT_VARIABLE: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
TIMEOUT_VARIABLE: Final = "AWS_METADATA_SERVICE_TIMEOUT"
TIMEOUT_SECONDS: Final = 2.0  # it answers within milliseconds; a machine that is busy needs more
TOKEN_SECONDS: Final = 21_600  # the longest there is
TOKEN_HEADER: Final = "X-aws-ec2-metadata-token"  # noqa: S105  # the name of a header
MOST_BYTES: Final = 65_536


class Notice(NamedTuple):
    """A spot machine is taken away."""

    action: str  # terminate, stop or hibernate
    at: float  # seconds since 1970


class Metadata:
    """The service as this machine reaches it. UNAVAILABLE where it does not answer."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE) or ENDPOINT
        self._seconds = float(os.environ.get(TIMEOUT_VARIABLE) or TIMEOUT_SECONDS)
        self._token = ""

    def instance_id(self) -> str:
        return self._text("instance-id")

    def private_address(self) -> str:
        """Where other machines of its network reach it."""
        return self._text("local-ipv4")

    def spot_notice(self) -> Notice | None:
        """That it will be taken away; None while it may stay, as every machine on demand may."""
        found = self._get("spot/instance-action")
        if found is None:
            return None
        try:
            said = json.loads(found)
            return Notice(str(said["action"]), datetime.fromisoformat(said["time"]).timestamp())
        except (ValueError, KeyError, TypeError) as error:
            raise self._silent(f"spot/instance-action says {found[:100]!r}") from error

    def _text(self, name: str) -> str:
        found = self._get(name)
        if not found:
            raise self._silent(f"it knows no {name}")
        return found.strip()

    def _get(self, name: str) -> str | None:
        """What lies there; None where nothing does."""
        for is_last in (False, True):
            if not self._token:
                seconds = {f"{TOKEN_HEADER}-ttl-seconds": str(TOKEN_SECONDS)}
                status, self._token = self._ask("PUT", "/latest/api/token", seconds)
                if status != HTTPStatus.OK or not self._token:
                    self._token = ""
                    raise self._silent(f"it gives no token: status {status}")
            status, text = self._ask("GET", f"/latest/meta-data/{name}", {TOKEN_HEADER: self._token})
            if status == HTTPStatus.OK:
                return text
            if status == HTTPStatus.NOT_FOUND:
                return None
            self._token = ""  # it has grown old, or the service was restarted: one more try with a new one
            if is_last or status != HTTPStatus.UNAUTHORIZED:
                break
        raise self._silent(f"status {status} for {name}")

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
        where = urlsplit(self._endpoint)
        connection = HTTPConnection(where.hostname or "", where.port or 80, timeout=self._seconds)
        try:
            connection.request(method, f"{where.path.rstrip('/')}{path}", headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_BYTES).decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise self._silent(str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def _silent(self, why: str) -> CrpbotError:
        return CrpbotError(
            Code.UNAVAILABLE,
            f"the instance metadata at {self._endpoint} cannot be used: {why}; remedy: run this on a machine of EC2 "
            "whose MetadataOptions have HttpEndpoint enabled",
            reason="NO_METADATA",
        )
