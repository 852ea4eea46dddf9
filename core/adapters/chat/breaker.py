"""Leaves a language model's server alone once it has failed several times in a row, and tries it again later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.llm.asking import ACCOUNT_TROUBLE, SERVER_TROUBLE, FailureReason

FAILURES_IN_A_ROW: Final = 5
PAUSE_SECONDS: Final = 120.0
ACCOUNT_PAUSE_SECONDS: Final = 600.0  # a wrong key or an empty account waits for a person


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands: `failures` in a row, and while it is open why, and in how many seconds one call may probe."""

    is_open: bool
    failures: int
    reason: FailureReason | None
    probe_in_seconds: float


class Breaker:
    """Closed it lets everybody through; open nobody; after its pause one call alone, whose outcome decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._reason: FailureReason | None = None
        self._open_until: float | None = None
        self._is_probing = False

    def admit(self, now: float) -> bool:
        """Whether a call may be made at this instant of the monotonic clock. Each yes is followed by one outcome."""
        if self._open_until is None:
            return True
        if now < self._open_until or self._is_probing:
            return False
        self._is_probing = True
        return True

    def succeeded(self) -> None:
        """The server answered."""
        self._failures, self._reason, self._open_until, self._is_probing = 0, None, None, False

    def failed(self, reason: FailureReason, now: float) -> bool:
        """A call ended so; true when this has opened the breaker."""
        was_probing, self._is_probing = self._is_probing, False
        if reason not in SERVER_TROUBLE:
            return False
        was_open = self._open_until is not None
        self._failures += 1
        if reason not in ACCOUNT_TROUBLE and self._failures < FAILURES_IN_A_ROW and not was_probing:
            return False
        pause = ACCOUNT_PAUSE_SECONDS if reason in ACCOUNT_TROUBLE else PAUSE_SECONDS
        self._reason, self._open_until = reason, max(now + pause, self._open_until or now)
        return not was_open

    def released(self) -> None:
        """A call ended without a word about the server: it was never made, or its caller went away."""
        self._is_probing = False

    def standing(self, now: float) -> Standing:
        """How it stands, for people and metrics."""
        wait = 0.0 if self._open_until is None else max(0.0, self._open_until - now)
        return Standing(self._open_until is not None, self._failures, self._reason, wait)
