"""An error says the same wherever it is read."""

from __future__ import annotations

import pickle

from core.errors import Code, CrpbotError, Violation


def test_an_error_crosses_to_another_process_whole() -> None:
    sent = CrpbotError(
        Code.UNAVAILABLE,
        "the market did not answer",
        reason="MARKET_AWAY",
        violations=(Violation("symbol", "is BTC-USD"),),
        retry_after_seconds=2.5,
    )
    received = pickle.loads(pickle.dumps(sent))
    assert vars(received) == vars(sent)
    assert str(received) == "the market did not answer"
