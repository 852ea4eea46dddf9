"""A model in the words of the API: what stands in its manifest and in the gate's judgement, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from core.forecasts.requests import GateReport, GateRuling, Model, ModelScaler, ModelSpan, ModelState, ModelSummary
from core.forecasts.score import LiveCount, LiveScore
from core.models.judgement import Judgement
from core.models.manifest import Kind, Manifest, Spans
from core.models.promotion import Promotion
from core.models.store import Entry, Judged


class Found(NamedTuple):
    """A model as the folder has it; `champion` is the version that decides where this one would."""

    file: str
    manifest: Manifest
    state: ModelState
    judged: Judged | None
    history: tuple[Promotion, ...]
    champion: str | None
    fault: str | None


def summarise(
    entry: Entry, *, state: ModelState, serving: bool, judgement: Judgement | None, live: LiveCount | None
) -> ModelSummary:
    """A model in short."""
    manifest = entry.manifest
    return ModelSummary(
        file=entry.file,
        state=state,
        serving=serving,
        version=None if manifest is None else manifest.version,
        kind=None if manifest is None else manifest.kind,
        symbols=() if manifest is None else manifest.symbols,
        created_at=None if manifest is None else manifest.created_at,
        learned_until=None if manifest is None else manifest.learned_until,
        metrics={} if manifest is None else dict(manifest.metrics),
        verdict=None if judgement is None else judgement.verdict,
        live=live,
        fault=None if entry.fault is None else entry.fault.detail,
    )


def names_kind(model: ModelSummary, kind: Kind) -> bool:
    """Whether a model is of this kind; of a damaged one its file's name tells."""
    return kind is (model.kind or next((each for each in Kind if model.file.startswith(f"{each}_")), None))


def describe(found: Found, *, serving: bool, live: LiveScore | None, live_problem: str | None) -> Model:
    """All about a model."""
    manifest, platt, judged = found.manifest, found.manifest.platt, found.judged
    return Model(
        file=found.file,
        state=found.state,
        serving=serving,
        version=manifest.version,
        kind=manifest.kind,
        symbols=manifest.symbols,
        interval=manifest.interval,
        window=manifest.window,
        horizon=manifest.horizon,
        label=manifest.label,
        origin=manifest.origin,
        run=manifest.run,
        created_at=manifest.created_at,
        learned_until=manifest.learned_until,
        spans=tuple(_spans(manifest.spans)),
        features=manifest.features,
        state_features=manifest.state,
        fingerprint=manifest.fingerprint,
        scalers=tuple(_scalers(manifest)),
        architecture={name: float(value) for name, value in manifest.architecture.items()},
        parameters=manifest.parameters,
        sha256=manifest.sha256,
        data_sha256=manifest.data_hash,
        code_sha256=manifest.code_hash,
        seed=manifest.seed,
        metrics=dict(manifest.metrics),
        platt_slope=None if platt is None else platt.slope,
        platt_intercept=None if platt is None else platt.intercept,
        gate=None if judged is None else tell_gate(judged.newest),
        history=found.history,
        live=live,
        fault=found.fault,
        live_problem=live_problem,
        promoted_with=None if judged is None or judged.promoted_with is None else tell_gate(judged.promoted_with),
    )


def tell_gate(judgement: Judgement) -> GateReport:
    """What the promotion gate found."""
    rulings = (
        GateRuling(
            rule=each.rule.value,
            symbol=each.symbol,
            value=each.value,
            bound=each.bound,
            by_bound=each.by_bound,
            relation=each.relation.value,
            limit=each.limit,
            n=each.n,
            outcome=each.outcome.value,
            sentence=each.sentence,
        )
        for each in judgement.rulings
    )
    return GateReport(
        verdict=judgement.verdict,
        sentence=judgement.sentence,
        at=judgement.at,
        first=judgement.first,
        last=judgement.last,
        threshold=judgement.threshold,
        trials=judgement.trials,
        champion=judgement.champion,
        rulings=tuple(rulings),
    )


def _spans(spans: Spans) -> Iterator[ModelSpan]:
    for name, span in spans._asdict().items():
        if span is not None:
            yield ModelSpan(name, span.first, span.last)


def _scalers(manifest: Manifest) -> Iterator[ModelScaler]:
    means, scales = (values.reshape(-1, len(manifest.features)) for values in manifest.scaler)
    names = manifest.symbols if len(means) == len(manifest.symbols) else (None,)
    for symbol, mean, scale in zip(names, means, scales, strict=True):
        yield ModelScaler(symbol, tuple(mean.tolist()), tuple(scale.tolist()))
