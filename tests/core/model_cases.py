"""Small models that nobody trained, with manifests that vouch for them, and a judgement that lets them pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import torch
from torch import nn

from core.models import lstm, policy, transformer
from core.models.calibration import Platt
from core.models.judgement import (
    HOUSE,
    Judgement,
    Outcome,
    Relation,
    RuleName,
    Ruling,
    Verdict,
    read_judgement,
    write_judgement,
)
from core.models.manifest import LABELS, Kind, Manifest, Span, Spans
from core.models.observation import ACCOUNT, OBSERVATIONS
from core.models.scaler import Scaler
from core.models.store import Report
from core.models.weights import Packed, pack

AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SPANS = Spans(*(Span(AT + place * DAY, AT + (place + 0.9) * DAY) for place in range(4)))
WINDOWS = {Kind.LSTM: 60, Kind.TRANSFORMER: 100, Kind.PPO: 1}


# What this server asks is of one-minute candles, 15 minutes ahead, over 100 candles at most.
UNSERVABLE = ({"horizon": 60}, {"interval": "5m"}, {"interval": "5m", "horizon": 3}, {"window": 101})


def make_network(kind: Kind = Kind.LSTM, seed: int = 1) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if kind is Kind.LSTM:
            return lstm.Lstm(lstm.Config(hidden=8, head=4))
        if kind is Kind.TRANSFORMER:
            return transformer.Transformer(transformer.Config(width=16, layers=2, heads=2, feedforward=8, head=4))
        return policy.Policy(policy.Config(OBSERVATIONS))


def make_model(kind: Kind = Kind.LSTM, seed: int = 1, **entries: Any) -> tuple[Manifest, bytes]:
    packed = pack(make_network(kind, seed), window=WINDOWS[kind])
    return describe(packed, kind, **entries), packed.blob


def describe(packed: Packed, kind: Kind = Kind.LSTM, **entries: Any) -> Manifest:
    symbols = entries.pop("symbols", ("BTC-USD", "ETH-USD") if kind is Kind.TRANSFORMER else ("BTC-USD",))
    shape = (len(symbols), 31) if len(symbols) > 1 else (31,)
    noise = np.random.default_rng(len(symbols))
    whole = Manifest(
        kind=kind,
        symbols=symbols,
        interval="1m",
        origin="synthetic-7-edge",
        architecture=packed.architecture,
        window=WINDOWS[kind],
        horizon=15,
        state=ACCOUNT if kind is Kind.PPO else (),
        label=LABELS[kind],
        scaler=Scaler(noise.normal(size=shape), noise.uniform(0.5, 2.0, size=shape)),
        spans=SPANS,
        metrics={"accuracy": 0.71, "brier": 1 / 3},
        platt=Platt(1.1, -0.05),
        seed=1,
        data_hash="d" * 64,
        code_hash="c" * 64,
        run="lstm-btc",
        created_at=AT + 5 * DAY,
        parameters=packed.parameters,
        sha256=packed.sha256,
        probe=packed.probe,
    )
    return replace(whole, **entries)


def passing(manifest: Manifest, **entries: Any) -> Report:
    """A report of the gate on the model's untouched candles, every rule by a margin of 1."""
    rulings = tuple(
        Ruling(rule, symbol, number, number, asked.by_bound, asked.relation, asked.limit, 300, Outcome.PASS, "enough")
        for symbol in manifest.symbols
        for rule, asked in HOUSE.items()
        for number in (asked.limit + (1.0 if asked.relation in {Relation.AT_LEAST, Relation.ABOVE} else -1.0),)
    )
    judgement = Judgement(
        model=manifest.version,
        kind=manifest.kind.value,
        symbol=manifest.symbols[0],
        verdict=Verdict.PASS,
        sentence="every rule holds",
        at=AT + 6 * DAY,
        first=manifest.spans.test.first,
        last=manifest.spans.test.last,
        horizon_minutes=15,
        threshold=0.6,
        round_trip_fraction=0.0011,
        stake_fraction=0.01,
        min_accuracy=0.68,
        max_calibration_error=0.05,
        trials=1,
        register_head="0" * 64,
        champion=None,
        rulings=rulings,
    )
    return Report(write_judgement(replace(judgement, **entries)), "<!doctype html><title>passed</title>")


def failing(manifest: Manifest, **entries: Any) -> Report:
    """A report whose Sharpe ratio is below the house's limit."""
    rulings = tuple(
        replace(each, value=0.1, bound=0.1, outcome=Outcome.FAIL) if each.rule is RuleName.SHARPE else each
        for each in read_judgement(passing(manifest).facts).rulings
    )
    return passing(manifest, verdict=Verdict.FAIL, sentence="the Sharpe ratio is 0.1", rulings=rulings, **entries)
