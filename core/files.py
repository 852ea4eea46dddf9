"""Named pieces of bytes in one place: a folder of this machine, or a part of a bucket.

A name is a path below that place, with slashes. Whoever reads sees a piece as it was before a change or after it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final, Protocol

from core.errors import Code, CrpbotError, invalid

LOCK: Final = ".lock"  # held by who is alone
NEW: Final = ".new"  # ends the names, which begin with a dot, of what is half written


class Files(Protocol):
    """A place for bytes. All calls may block on a disk or a network; a place that cannot be reached is UNAVAILABLE."""

    @property
    def url(self) -> str:
        """Where it is, as a person would write it: a path, or `s3://bucket/prefix`."""
        ...

    @property
    def look_seconds(self) -> float:
        """How often it may be asked what is new: a look costs nothing on a disk and money in a bucket."""
        ...

    def stamps(self, under: str = "", *, deep: bool = True) -> dict[str, str]:
        """The names that begin so, sorted, each with a stamp: the same stamp is the same content.

        Not deep: without those in folders further down, at which nobody looks then.
        """
        ...

    def changed(self, name: str) -> datetime | None:
        """When it was last changed, None where it is not there; of "", the place itself, where it knows that."""
        ...

    def read(self, name: str, *, most: int) -> bytes:
        """The content. NOT_FOUND where there is none; FAILED_PRECONDITION above that many bytes."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Takes the place of what was there, in one step, once it is safe."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Writes only where there is nothing of that name yet, and says whether it did: of two at once one does."""
        ...

    def remove(self, name: str) -> None:
        """Takes it away; what is not there is no failure."""
        ...

    def point(self, name: str, target: str) -> None:
        """The name leads to another file beside it from one step to the next."""
        ...

    def target(self, name: str) -> str:
        """Where the name leads. NOT_FOUND where there is no such name, FAILED_PRECONDITION where it is no link."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """While it lasts nobody else who asks for the same is inside; it ends with a process that is killed.

        Who is inside asks for no second one. ABORTED where others were inside for too long, or took it over.
        """
        ...


def check_name(name: str) -> str:
    """The name itself; refused where it leads out of its place, or is one that places need for themselves."""
    last = name.rpartition("/")[2]
    if "\0" in name or "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
        raise invalid("name", f"{name!r} is no path below a folder")
    if last == LOCK or (last.startswith(".") and last.endswith(NEW)):
        raise invalid("name", f"{name!r} is a name that the place itself needs")
    return name


def is_away(error: CrpbotError) -> bool:
    """Whether the place was not there or did not let us in: of what lies in it that says nothing."""
    return error.code in {Code.UNAVAILABLE, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED}
