"""A part of a bucket, as people write it: `s3://bucket/prefix`."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from core.errors import invalid

SCHEME: Final = "s3://"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PART: Final = re.compile(r"[\w.=+-]+", re.ASCII)


class Place(NamedTuple):
    """A part of a bucket."""

    bucket: str
    prefix: str  # without slashes around it; empty for the whole bucket

    @property
    def url(self) -> str:
        return f"{SCHEME}{self.bucket}{'/' if self.prefix else ''}{self.prefix}"

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


def read_place(url: str) -> Place:
    """`s3://bucket/prefix`; what is anything else is not repeated, for it may hold a key."""
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    prefix = prefix.strip("/")
    parts = prefix.split("/") if prefix else []
    if not url.startswith(SCHEME) or not NAME.fullmatch(bucket) or ".." in bucket:
        raise invalid("url", "is no s3://bucket/prefix: a bucket's name is 3 to 63 of a-z, 0-9, dot and hyphen")
    if any(part in {".", ".."} or not PART.fullmatch(part) for part in parts):
        raise invalid("url", f"the part of {SCHEME}{bucket} is no path of letters, digits, hyphens and slashes")
    return Place(bucket, prefix)


def is_bucket(url: str) -> bool:
    """Whether it names a bucket, and no path; refused where it is neither."""
    if url.startswith(SCHEME):
        read_place(url)
        return True
    if not url or "://" in url:
        raise invalid("url", f"is neither a path nor {SCHEME}bucket/prefix")
    return False
