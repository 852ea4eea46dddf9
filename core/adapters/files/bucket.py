"""Files in a part of a bucket of S3, with the promises of a folder: whole or not there, one at a time writes.

    s3://bucket/prefix/NAME       the content, encrypted where it lies; a pointer's is the name that it leads to
    s3://bucket/prefix/.lock      who is alone (bucket_lease.py)

S3 shows an object as it was before a write or after it, and to whoever lists it, at once.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from core.adapters.files.bucket_client import ATTEMPTS, Client, Lost, Missing, connect, told
from core.adapters.files.bucket_lease import PATIENCE_SECONDS, Lease
from core.bucket_address import read_place
from core.errors import Code, CrpbotError
from core.files import LOCK, check_name

LOOK_SECONDS: Final = 30.0  # 86,400 looks in a month; a list costs 5 dollars a million
MOST_TARGET_BYTES: Final = 500
TARGET: Final = re.compile(rb"[\w.+=/-]+")
BAD_FILE: Final = "BAD_FILE"


class BucketFiles:
    """A part of a bucket as `core.files.Files`. May be asked by several threads."""

    look_seconds = LOOK_SECONDS

    def __init__(self, url: str, patience: float = PATIENCE_SECONDS, attempts: int = ATTEMPTS) -> None:
        self._place = read_place(url)
        self._patience = patience
        self._attempts = attempts
        self._connecting = threading.Lock()
        self._connected: Client = None
        self._inside = threading.local()  # the lease that this thread holds, checked before each of its writes

    def __reduce__(self) -> tuple[type[BucketFiles], tuple[str, float, int]]:
        """As another process gets it: the address, and nothing of who we are."""
        return BucketFiles, (self.url, self._patience, self._attempts)

    @property
    def url(self) -> str:
        return self._place.url

    def stamps(self, under: str = "", *, deep: bool = True) -> dict[str, str]:
        """The ETags: for objects written in one piece, as ours, a digest of the content."""
        begin = self._place.key(under)
        cut = len(self._place.key(""))
        found = {}
        for row in self._list(begin, {} if deep else {"Delimiter": "/"}):
            name = str(row["Key"])[cut:]
            if name and not name.endswith("/") and name.rpartition("/")[2] != LOCK:
                found[name] = str(row["ETag"]).strip('"')
        return dict(sorted(found.items()))

    def changed(self, name: str) -> datetime | None:
        """By the bucket's clock. A bucket itself has no such time."""
        if not name:
            return None
        try:
            with told(self._place, name):
                answer = self._client.head_object(**self._object(name))
        except Missing:
            return None
        when: datetime = answer["LastModified"]
        return when.astimezone(UTC)

    def read(self, name: str, *, most: int) -> bytes:
        for again in range(self._attempts):
            body = self._open(name, most)
            try:
                with told(self._place, name):
                    content: bytes = body.read()
                    return content
            except CrpbotError:  # the connection broke within the content: boto3 repeats only the request
                if again == self._attempts - 1:
                    raise
        raise AssertionError(self._attempts)

    def write(self, name: str, content: bytes) -> None:
        self._put(name, content)

    def create(self, name: str, content: bytes) -> bool:
        for again in range(self._attempts):
            try:
                self._put(name, content, IfNoneMatch="*")
            except Lost as lost:
                if lost.is_undecided and again < self._attempts - 1:
                    continue
                # where our first try arrived, and its answer did not, ours stands there
                return lost.tries > 0 and self._holds(name, content)
            return True
        raise AssertionError(self._attempts)

    def remove(self, name: str) -> None:
        self._check_held()
        with told(self._place, name):
            self._client.delete_object(**self._object(name))

    def point(self, name: str, target: str) -> None:
        self._put(name, target.encode())

    def target(self, name: str) -> str:
        try:
            found = self.read(name, most=MOST_TARGET_BYTES)
        except CrpbotError as error:
            if error.reason != BAD_FILE:
                raise
            found = b""
        if not TARGET.fullmatch(found):
            raise _fault(name, "is no link (it holds no file's name)")
        return found.decode()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The lease runs out with a process that is killed: the next one waits for a minute and a half then."""
        lease = Lease(self._client, self._place)
        lease.take(patience=self._patience)
        self._inside.lease = lease
        try:
            yield
        finally:
            self._inside.lease = None
            lease.give_back()

    @property
    def _client(self) -> Client:
        with self._connecting:
            if self._connected is None:
                with told(self._place):
                    self._connected = connect(self._attempts)
            return self._connected

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._place.bucket, "Key": self._place.key(check_name(name))}

    def _holds(self, name: str, content: bytes) -> bool:
        try:
            return self.read(name, most=max(len(content), 1)) == content
        except CrpbotError as error:
            if error.reason not in {BAD_FILE, "NO_SUCH_FILE"}:
                raise
            return False

    def _check_held(self) -> None:
        lease: Lease | None = getattr(self._inside, "lease", None)
        if lease is not None:
            lease.keep()

    def _put(self, name: str, content: bytes, **condition: str) -> None:
        """One object, encrypted where it lies."""
        where = self._object(name)
        self._check_held()
        with told(self._place, name):
            self._client.put_object(**where, Body=content, ServerSideEncryption="AES256", **condition)

    def _open(self, name: str, most: int) -> Any:  # Any: a stream of boto3
        try:
            with told(self._place, name):
                answer = self._client.get_object(**self._object(name))
        except Missing:
            detail = f"{name.rpartition('/')[2]} is missing"
            raise CrpbotError(Code.NOT_FOUND, detail, reason="NO_SUCH_FILE") from None
        if answer["ContentLength"] > most:
            answer["Body"].close()
            raise _fault(name, f"has more than {most:,} bytes")
        return answer["Body"]

    def _list(self, begin: str, more: dict[str, str]) -> Iterator[dict[str, Any]]:  # Any: rows of boto3
        pages = self._client.get_paginator("list_objects_v2")
        with told(self._place):
            for page in pages.paginate(Bucket=self._place.bucket, Prefix=begin, **more):
                yield from page.get("Contents", ())


def _fault(name: str, why: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, f"{name.rpartition('/')[2]} {why}", reason=BAD_FILE)
