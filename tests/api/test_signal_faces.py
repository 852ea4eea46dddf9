"""Decisions of the models over both faces of one gateway: the same ensemble, found by its strategy and its models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from api.body import adapter
from api.wire import from_message
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.ensemble import Ensemble, Member
from core.signal import Signal, Strategy, Version
from core.signals.requests import ListSignalsResponse
from core.trade import Book, Direction
from protos import crpbot_pb2
from tests.api.gateways import Running, all_operations, refusal_of_rest, running_gateway
from tests.core.decisions import decision, store

ENSEMBLE = Ensemble(
    0.712345,
    0.698765,
    True,
    0.6,
    15,
    (
        Member("lstm", "lstm-0f3a9c1d", 0.61, 0.583333, None),
        Member("transformer", "", None, 0.0, "no transformer is promoted for BTC-USD"),
        Member("ppo", "ppo-7e57ab1e", 0.82, 0.416667, None),
    ),
)
OF_MODELS = decision(
    1,
    strategy=Strategy.V6,
    variant=None,
    direction=Direction.HOLD,
    ensemble=ENSEMBLE,
    versions=(Version("code", "1"), Version("lstm", "lstm-0f3a9c1d"), Version("ppo", "ppo-7e57ab1e")),
)
UNHEARD = decision(
    2,
    strategy=Strategy.V6,
    variant=None,
    direction=Direction.HOLD,
    ensemble=Ensemble(None, None, False, 0.0, 15, ()),
)
OF_THEORIES = decision(3, direction=Direction.HOLD)
STORED = (OF_MODELS, UNHEARD, OF_THEORIES)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway over a ledger with these decisions."""
    folder: Path = tmp_path_factory.mktemp("signals")
    url = f"sqlite:///{folder}/crpbot.db"
    upgrade(url)

    async def fill() -> None:
        ledger = await Ledger.open(url)
        try:
            for each in STORED:
                await store(ledger, each)
        finally:
            await ledger.close()

    asyncio.run(fill())
    with running_gateway(build=partial(all_operations, folder=folder)) as gateway:
        yield gateway


@pytest.mark.parametrize("signal", STORED, ids=["models", "unheard", "theories"])
def test_both_faces_give_the_ensemble_as_it_was_stored(full: Running, signal: Signal) -> None:
    answer = full.rest.get(f"/v1/signals/{signal.id}")
    assert adapter(Signal).validate_json(answer.content) == signal
    called = full.call("/crpbot.v1.SignalService/GetSignal", crpbot_pb2.GetSignalRequest(id=signal.id))
    assert from_message(crpbot_pb2.Signal.FromString(called), Signal) == signal


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"strategy": "v6"}, (UNHEARD, OF_MODELS)),
        ({"strategy": "vote"}, ()),
        ({"strategy": "v7"}, (OF_THEORIES,)),
        ({"model": "ppo-7e57ab1e"}, (OF_MODELS,)),
        ({"model": "transformer-0f3a9c1d"}, ()),
    ],
)
def test_both_faces_list_by_strategy_and_model(full: Running, asked: dict[str, str], found: tuple[Signal, ...]) -> None:
    answer = full.rest.get("/v1/signals", params=asked)
    assert adapter(ListSignalsResponse).validate_json(answer.content).signals == found
    message = crpbot_pb2.ListSignalsRequest(
        model=asked.get("model"),
        book=crpbot_pb2.BOOK_PRIMARY,
        strategy=crpbot_pb2.Strategy.Value(f"STRATEGY_{asked['strategy'].upper()}") if "strategy" in asked else None,
    )
    called = full.call("/crpbot.v1.SignalService/ListSignals", message)
    page = from_message(crpbot_pb2.ListSignalsResponse.FromString(called), ListSignalsResponse)
    assert page.signals == found
    assert {each.book for each in page.signals} <= {Book.PRIMARY}


def test_a_strategy_that_is_none_is_refused_by_name(full: Running) -> None:
    refused = refusal_of_rest(full.rest.get("/v1/signals", params={"strategy": "v5"}))
    assert refused.status == 422
    assert refused.fields == ("strategy",)
