"""The bytes that leave the server are the ones clients were built on. A difference here is a change of contract.

Written anew on purpose, after reading the difference, by

    python -c "from tests.golden.test_golden import write; write()"
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from api.body import adapter, parse_json
from api.wire import from_message, to_message
from core.analysis import Analysis, AnalyzeResponse, Missing, Reading, RefusedSymbol
from core.signal import Degradation
from protos import crpbot_pb2

FOLDER = Path(__file__).parent

READINGS = (
    Reading("hurst_exponent", {"hurst": 0.612, "low": 0.55, "high": 0.674}, 0.25, "trending: moves tend to go on"),
    Reading("market_context", {}, 0.0, "", "no market data: the provider gave none"),
    Reading(
        "shannon_entropy", {"entropy": 1.0, "tiny": 5e-324, "huge": 1.7976931348623157e308}, -1.0, "µ ≈ 0 — “flat”"
    ),
)
MISSING = (Missing("monte_carlo", "deadline", "the deadline had passed before its turn came"),)
RESPONSE = AnalyzeResponse(
    (
        Analysis(
            symbol="BTC-USD",
            interval="5m",
            window=500,
            as_of=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
            price=Decimal("104738.92"),
            source="synthetic",
            synthetic=True,
            readings=READINGS,
            missing=MISSING,
            coverage=0.5,
            degradations=(Degradation("REVISED", "coinbase: BTC-USD 5m: 2026-03-02T11:50:00Z: close 1 became 2"),),
        ),
        Analysis(
            symbol="DOGE-USD",
            interval="1d",
            window=200,
            as_of=datetime(2026, 3, 2, tzinfo=UTC),
            price=Decimal("1E-8"),
            source="request",
            synthetic=False,
            readings=(),
            missing=(),
            coverage=0.0,
        ),
    ),
    (RefusedSymbol("POL-USD", "STALE_MARKET_DATA", "coinbase: POL-USD 5m: the newest candle closed an hour ago"),),
)


def as_json() -> bytes:
    """What REST sends."""
    return adapter(AnalyzeResponse).dump_json(RESPONSE)


def as_proto() -> bytes:
    """What gRPC sends, with map entries in a fixed order."""
    return to_message(RESPONSE, crpbot_pb2.AnalyzeResponse).SerializeToString(deterministic=True)


GOLDEN = {"analysis.json": as_json, "analysis.pb": as_proto}


def write() -> None:
    """Stores today's bytes as the golden ones."""
    for name, make in GOLDEN.items():
        (FOLDER / name).write_bytes(make())


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_of_a_fixed_analysis_do_not_change(name: str) -> None:
    assert GOLDEN[name]() == (FOLDER / name).read_bytes()


def test_the_golden_bytes_can_be_read_back() -> None:
    assert parse_json((FOLDER / "analysis.json").read_bytes(), AnalyzeResponse) == RESPONSE
    stored = crpbot_pb2.AnalyzeResponse.FromString((FOLDER / "analysis.pb").read_bytes())
    assert from_message(stored, AnalyzeResponse) == RESPONSE
