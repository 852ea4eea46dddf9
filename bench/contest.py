"""A theory against the library that a trader would reach for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contest:
    """One theory (or part of it) against one library call on one window that gives at most as much.

    `batch` works on `windows` windows, `single` and `library` on one. `serves` says that the library's call is what the
    theory replaces when it is served: those are added up for the comparison of all theories together. `alone` says that
    the goal judges the lone window, because the library's call is one about one row; else it judges the batch.
    """

    name: str
    batch: Callable[[], object]
    windows: int
    single: Callable[[], object]
    library_name: str
    library: Callable[[], object]
    goal: float
    serves: bool = True
    alone: bool = False
