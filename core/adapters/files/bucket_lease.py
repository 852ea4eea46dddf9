"""Who is alone in a part of a bucket: an object that says who holds it, and that runs out with its holder.

    s3://bucket/prefix/.lock      {"holder": "machine, process 4711", "token": "9f..", "turn": 3, "held": true}

It is taken and kept by writes with a condition (only where nothing is yet, or where just that content is), so of two
at once one succeeds. Its age is told by the bucket's own clock. Before each write the holder writes it anew: that
proves that nobody took it over, and gives him a minute for the write itself.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from core.adapters.files.bucket_client import Client, Lost, Missing, told
from core.bucket_address import Place
from core.errors import Code, CrpbotError
from core.files import LOCK

LEASE_SECONDS: Final = 90.0  # longer than a write with its tries: (5 + 20) seconds three times, and pauses
PATIENCE_SECONDS: Final = 120.0  # longer than a lease, so that whoever waits for a killed one gets his turn
PAUSE_SECONDS: Final = 1.0
MOST_BYTES: Final = 1_000


class Look(NamedTuple):
    """The lease as it was found; without a stamp it was never made."""

    stamp: str | None = None
    holder: str = ""
    held: bool = False
    age_seconds: float = 0.0


class Lease:
    """One holding of it. For one thread."""

    def __init__(self, client: Client, place: Place, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._place = place
        self._sleep = sleep
        self._token = secrets.token_hex(16)
        self._holder = f"{socket.gethostname()}, process {os.getpid()}"
        self._turn = 0
        self._stamp: str | None = None

    def take(self, *, patience: float = PATIENCE_SECONDS) -> None:
        """Waits until nobody holds it, or whoever does was killed."""
        until = time.monotonic() + patience
        while True:
            found = self._look()
            if not found.held or found.age_seconds > LEASE_SECONDS:
                self._stamp = found.stamp
                try:
                    self._put(held=True)
                    return
                except Lost:
                    pass  # another was quicker
            if time.monotonic() > until:
                detail = f"{self._place.url} is being changed by {found.holder or 'others'} for {patience:.0f} s"
                raise CrpbotError(Code.ABORTED, f"{detail}; remedy: the same again", reason="STORE_BUSY")
            self._sleep(PAUSE_SECONDS * (0.5 + random.random()))  # noqa: S311 - so that two who wait part company

    def keep(self) -> None:
        """Proves that it is still ours; refused where another took it over, and then nothing may be written."""
        try:
            self._put(held=True)
        except Lost:
            detail = f"another took {self._place.url} over, because this took more than {LEASE_SECONDS:.0f} s"
            raise CrpbotError(
                Code.ABORTED,
                f"{detail}; what is not written yet will not be; remedy: the same again",
                reason="OVERTAKEN",
            ) from None

    def give_back(self) -> None:
        """The next one need not wait. One that is not ours any more is left alone."""
        try:
            self._put(held=False)
        except (Lost, CrpbotError):
            return  # it runs out by itself

    def _put(self, *, held: bool) -> None:
        self._turn += 1
        text = {"holder": self._holder, "token": self._token, "turn": self._turn, "held": held}
        content = json.dumps(text).encode()
        condition = {"IfNoneMatch": "*"} if self._stamp is None else {"IfMatch": self._stamp}
        try:
            with told(self._place, LOCK):
                answer = self._client.put_object(
                    Bucket=self._place.bucket,
                    Key=self._place.key(LOCK),
                    Body=content,
                    ServerSideEncryption="AES256",
                    **condition,
                )
            self._stamp = str(answer["ETag"])
        except Missing:  # somebody deleted it by hand: whoever takes it next is as right as we are
            raise Lost(LOCK) from None
        except Lost:  # or our own first try arrived, and its answer did not
            stamp, text_there = self._read()
            if text_there != text:
                raise
            self._stamp = stamp

    def _look(self) -> Look:
        try:
            with told(self._place, LOCK):
                answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.key(LOCK))
                content = answer["Body"].read(MOST_BYTES)
        except Missing:
            return Look()
        text = _parse(content)
        age = (_now(answer) - answer["LastModified"]).total_seconds()
        return Look(str(answer["ETag"]), str(text.get("holder", "")), bool(text.get("held")), age)

    def _read(self) -> tuple[str | None, dict[str, Any]]:
        try:
            with told(self._place, LOCK):
                answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.key(LOCK))
                return str(answer["ETag"]), _parse(answer["Body"].read(MOST_BYTES))
        except Missing:
            return None, {}


def _parse(content: bytes) -> dict[str, Any]:  # Any: JSON
    """What is no lease is held by nobody."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _now(answer: Any) -> datetime:  # Any: an answer of boto3
    """What time the bucket has: ours may go wrong."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)
