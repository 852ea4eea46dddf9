"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it stands, what was found, and what to do about it (nothing when all is well)."""

    check: str
    state: State
    found: str
    remedy: str


def ok(check: str, found: str) -> Finding:
    """As it should be."""
    return Finding(check, "ok", found, "")


def warn(check: str, found: str, remedy: str) -> Finding:
    """The server works all the same."""
    return Finding(check, "warn", found, remedy)


def bad(check: str, found: str, remedy: str) -> Finding:
    """The server does not start, does not work, or is not safe like this."""
    return Finding(check, "bad", found, remedy)
