"""Which model decided when: the record of every promotion, and the way back from it.

The record says who came after whom; who decides now is told by the store's link alone, which changes in one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from core.canonical import read_canonical, write_canonical
from core.errors import CrpbotError
from core.models.manifest import NAME, Kind, damaged
from core.strictjson import parse_object
from core.trade import STRICT


class Action(StrEnum):
    """What was done."""

    PROMOTE = "promote"
    RESTORE = "restore"  # back to a version that was promoted before
    DEMOTE = "demote"


@dataclass(frozen=True, slots=True)
class Promotion:
    """One change of who decides. `version` decides from then on, or, where it was demoted, no longer does."""

    __pydantic_config__: ClassVar = STRICT
    at: datetime
    action: Action
    kind: Kind
    subject: str  # a symbol, or `multi`
    version: str
    before: str | None  # who decided until then

    @property
    def after(self) -> str | None:
        """Who decides from then on."""
        return None if self.action is Action.DEMOTE else self.version


def write_promotion(promotion: Promotion) -> str:
    """Its one line."""
    return write_canonical(promotion) + "\n"


def read_promotion(line: str) -> Promotion:
    """The promotion of a line; refused where anything in it is not as it is written."""
    try:
        parse_object(line)
        found = read_canonical(line, Promotion)
        names = [found.subject, found.version, *([] if found.before is None else [found.before])]
        is_whole = write_canonical(found) == line.strip() and found.at.tzinfo is not None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(f"is none ({type(error).__name__})") from None
    if not is_whole or not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise _refused("is not as it was written")
    return found


def previous_of(promotions: Sequence[Promotion], deciding: str | None) -> str | None:
    """The version to go back to: who decided before the one that decides, or last where nobody does.

    A way back is not a step forward: after A, B, C and a way back to B, the next way back leads to A.
    """
    steps = _steps(promotions)
    if deciding is not None and steps and steps[-1] == deciding:
        steps.pop()
    return steps[-1] if steps else None


def _steps(promotions: Iterable[Promotion]) -> list[str]:
    """The versions that led to the one of now, oldest first."""
    steps: list[str] = []
    for each in promotions:
        if each.before is not None and (not steps or steps[-1] != each.before):
            steps.append(each.before)
        if each.action is Action.RESTORE and each.version in steps:
            while steps[-1] != each.version:
                steps.pop()
        elif each.action is not Action.DEMOTE and (not steps or steps[-1] != each.version):
            steps.append(each.version)
    return steps


def _refused(detail: str) -> CrpbotError:
    return damaged("promotion", detail)
