"""Requests as REST bodies, and as the messages of the gRPC face."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from google.protobuf.json_format import ParseDict

from protos import crpbot_pb2
from tests.fakes import as_ccxt, as_columns, walk_candles

Json = dict[str, Any]
OWN = asdict(as_columns(walk_candles("BTC-USD", count=210)))
ROWS = asdict(as_ccxt(walk_candles("ETH-USD", "1h", 220)))


def message(body: Json) -> crpbot_pb2.AnalyzeRequest:
    """A REST body as the gRPC face's request."""
    return ParseDict(body, crpbot_pb2.AnalyzeRequest())
