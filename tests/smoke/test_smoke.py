"""Five minutes of market through the product without Ray, in seconds: does it work at all?"""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import pytest

from api.gateway import Address, Gateway
from api.metrics import Metrics
from api.operations import analysis_operations
from api.readiness import Readiness
from core.adapters.synthetic.market import SyntheticMarket
from core.desk import Defaults, Desk
from core.market import SYMBOLS
from core.panel import LocalAnalysts, Samples
from protos.crpbot_pb2 import AnalyzeRequest
from protos.crpbot_pb2_grpc import AnalysisServiceStub

pytestmark = pytest.mark.smoke

START = datetime(2026, 3, 29, 0, 58, tzinfo=UTC)  # two minutes before Europe's clocks change
MINUTES = 5
LOCALHOST = Address("127.0.0.1", 0)
FITS = Samples()
# Theories that read more than candles; on the synthetic market there is nothing of that.
WITHOUT_FACTS = {"bayesian_win_rate", "market_context"}


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def test_five_minutes_of_market_over_rest_and_grpc() -> None:
    clock = Clock(START)
    loop = asyncio.get_running_loop()
    analysts = LocalAnalysts(loop.time, lambda: FITS)
    desk = Desk(market=SyntheticMarket(7), analysts=analysts, now=clock, defaults=Defaults("1m", 500))
    metrics = Metrics()
    operations = analysis_operations(desk, metrics)
    gateway = Gateway(
        operations, readiness=Readiness({}), metrics=metrics, http=LOCALHOST, grpc=LOCALHOST, timeout_seconds=60.0
    )
    running = asyncio.create_task(gateway.run())
    seen = []
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.http_port}", trust_env=False, timeout=90) as rest,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel,
    ):
        assert (await rest.get("/health/ready")).json()["ready"]
        for minute in range(MINUTES):
            clock.now = START + timedelta(minutes=minute, seconds=1)
            answer = (await rest.post("/v1/analyze", json={"symbols": list(SYMBOLS)})).json()
            same = await AnalysisServiceStub(channel).Analyze(AnalyzeRequest(symbols=SYMBOLS))
            for analysis, message in zip(answer["analyses"], same.analyses, strict=True):
                assert analysis["missing"] == []
                assert {reading["theory"] for reading in analysis["readings"] if reading["problem"]} == WITHOUT_FACTS
                assert analysis["synthetic"]
                assert datetime.fromisoformat(analysis["as_of"]) == START + timedelta(minutes=minute)
                assert {reading["theory"]: reading["values"] for reading in analysis["readings"]} == {
                    reading.theory: dict(reading.values) for reading in message.readings
                }
            seen.append([analysis["price"] for analysis in answer["analyses"]])
    gateway.stop()
    await running
    assert len({tuple(prices) for prices in seen}) == MINUTES, "the market stood still"
