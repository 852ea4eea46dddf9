"""`crpbot evaluate`, `promote` and `demote`: what the gate says of a model, kept beside it, and what follows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.models.place import runs_of
from cli.training.advice import advise, command_for, keep_asked
from cli.training.candles import parse_coin, read_again
from cli.training.champion import ask_champion
from cli.training.order import Order, check_torch
from cli.training.register import check_counted, check_judged, settings_of
from cli.training.terms import house_terms
from core.adapters.models.folder import ModelFolder
from core.adapters.models.reports import ModelReports
from core.errors import Code, CrpbotError, unknown
from core.features import WARM_UP
from core.files import Files
from core.market import interval_seconds, milliseconds
from core.models.judgement import read_judgement, write_judgement
from core.models.manifest import Kind, Manifest
from core.models.store import EVERY_COIN, Report, Slot, slot_of

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.gate_terms import Terms
    from training.report_pictures import Epoch
    from training.scores import Scores
    from training.trained import Run

NEWEST, DECIDING = "latest", "promoted"

Row = dict[str, Any]  # Any: what becomes JSON


@dataclass(frozen=True, slots=True)
class Question:
    """Which model is judged, by which limits, on whose candles."""

    model: str
    symbol: str
    kind: str
    min_accuracy: float
    max_calibration_error: float
    folder: Path | None
    models: Files


def keep_and_judge(run: Run, datasets: Sequence[Dataset], order: Order) -> Row:
    """Saves what was trained, judges it on the untouched part, and writes its report."""
    models = order.models
    ModelFolder(models).save(run.manifest, run.blob)
    keep_asked(order.named(run.manifest.kind), run.manifest, models)
    found = _judge(models, run.manifest, run.scores, datasets, terms=house_terms())
    return {**found, "epochs": len(run.history)}


def evaluate(question: Question) -> Row:
    """Reads the candles that the model was made with again, and judges it on the part that it never touched."""
    check_torch()
    from core.models.weights import decode
    from training.evaluate import check_same_candles, score_part

    store = ModelFolder(question.models)
    manifest, blob = store.load(_find(store, question))
    network = decode(manifest, blob)
    datasets, whole = read_datasets(manifest, question.folder)
    check_same_candles(manifest, whole)
    scores = score_part(network, manifest, whole, whole.test)
    terms = house_terms()._replace(
        min_accuracy=question.min_accuracy, max_calibration_error=question.max_calibration_error
    )
    return _judge(question.models, manifest, scores, datasets, terms=terms)


def promote(version: str, models: Files) -> Row:
    """Points at the model, with the gate's report beside it; refused unless that says pass and is still true."""
    from cli.models.calibration import wanted
    from serving.configuration import load

    store = ModelFolder(models)
    manifest, _ = store.load(version)
    try:
        report = ModelReports(models).last(version)
    except CrpbotError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        why = f"{version} has no report: judge it with `{command_for('evaluate', manifest, models)}` first"
        raise _refused(why) from None
    check_judged(report.facts, read_judgement(report.facts), manifest, models)
    weights = load().settings.decision.ensemble_weights  # wrong settings are told before anything changes
    store.promote(version, report)
    command = wanted(models, manifest.symbols, weights)
    return {"version": version, **_slot(slot_of(manifest)), **({} if command is None else {"next": command})}


def demote(symbol: str, kind: str, models: Files) -> Row:
    """Takes the pointer away."""
    slot = slot_asked(kind, symbol)
    return {"version": ModelFolder(models).demote(slot), **_slot(slot)}


def read_datasets(manifest: Manifest, folder: Path | None) -> tuple[list[Dataset], Dataset]:
    """The coins' data sets, and what the model read: that of its only coin, or all of them as one."""
    from training.dataset import join
    from training.history import build_datasets

    step = timedelta(seconds=interval_seconds(manifest.interval))
    before, after = (WARM_UP + manifest.window - 1) * step, (1 + manifest.horizon) * step
    begin, end = milliseconds(manifest.spans.train.first - before), milliseconds(manifest.spans.test.last + after)
    histories = [read_again(manifest.origin, symbol, folder, begin=begin, end=end) for symbol in manifest.symbols]
    datasets = build_datasets(histories, manifest.window)
    return datasets, datasets[0] if slot_of(manifest).subject != EVERY_COIN else join(datasets)


def slot_asked(kind: str, symbol: str) -> Slot:
    """What is meant by a kind and a coin; a Transformer is of all coins."""
    if kind not in set(Kind):
        raise unknown("model_type", "model type", kind, [str(each) for each in Kind])
    return Slot(Kind(kind), EVERY_COIN if kind == Kind.TRANSFORMER else parse_coin(symbol))


def _judge(
    models: Files, manifest: Manifest, scores: Sequence[Scores], datasets: Sequence[Dataset], *, terms: Terms
) -> Row:
    from training.evaluate import bins_of, compare, trades_of
    from training.gate import Candidate, judge, record
    from training.leak import can_be_searched
    from training.report import INVENTED, UNSEARCHED, Sheet, write_page
    from training.trial_register import TrialRegister

    check_counted(models)
    at = datetime.now(UTC)
    candidate = Candidate(manifest.version, manifest.kind, tuple(scores), settings_of(manifest, scores))
    register = TrialRegister(models)
    for each in record(candidate, terms, at=at):
        register.register(each)
    champion = ask_champion(manifest, datasets, models)
    judgement = judge(candidate, terms, register=register, at=at, champion=champion)
    lines = compare(manifest.version, scores, datasets, terms)
    notes = [INVENTED] if manifest.origin.startswith("synthetic") else []
    step = 1_000 * interval_seconds(manifest.interval)
    notes += [UNSEARCHED.format(each.symbol) for each in datasets if not can_be_searched(each.open_times, step)]
    bins, trades = bins_of(scores, terms.horizon), trades_of(scores, terms)
    sheet = Sheet(manifest, judgement, lines, bins, trades, _read_epochs(models, manifest), tuple(notes))
    facts, drawn = write_judgement(judgement), write_page(sheet)
    register.judged(manifest.version, facts)
    name = f"{manifest.version}-weaker" if terms.weaker else manifest.version  # never in the place of the real one
    page = ModelReports(models).keep(name, Report(facts, drawn))
    return {
        "version": manifest.version,
        "kind": str(manifest.kind),
        "symbols": list(manifest.symbols),
        "origin": manifest.origin,
        "verdict": str(judgement.verdict),
        "sentence": judgement.sentence,
        "lines": [line._asdict() for line in lines],
        "rulings": [
            {"rule": str(each.rule), "symbol": each.symbol, "outcome": str(each.outcome), "sentence": each.sentence}
            for each in judgement.rulings
        ],
        "report": page,
        "next": advise(judgement, manifest, models, is_weaker=bool(terms.weaker)),
    }


def _read_epochs(models: Files, manifest: Manifest) -> tuple[Epoch, ...]:
    """How the loss fell, where the run's folder is still there; an agent has no such loss."""
    from training.checkpoint import METRICS
    from training.report_pictures import Epoch

    path = runs_of(models) / manifest.run / METRICS
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    names = ("epoch", "train_loss", "stop_loss", "precision")
    return tuple(Epoch(*(row.get(name, "") for name in names)) for row in rows if "stop_loss" in row)


def _find(store: ModelFolder, question: Question) -> str:
    """The version that is meant by `latest`, `promoted` or its own name."""
    if question.model not in {NEWEST, DECIDING}:
        return question.model
    slot = slot_asked(question.kind, question.symbol)
    if question.model == DECIDING:
        entry = store.promoted().get(slot)
        if entry is None:
            raise _refused(f"no {slot.kind} is promoted for {slot.subject}; name a version with --model")
        return entry.read().version
    found = [each.manifest for each in store.entries() if each.manifest and slot_of(each.manifest) == slot]
    if not found:
        coin = question.symbol.partition("-")[0]
        raise _refused(f"no {slot.kind} of {slot.subject} was trained here: `crpbot train {slot.kind} --coin {coin}`")
    return found[-1].version


def _slot(slot: Slot) -> Row:
    return {"kind": str(slot.kind), "subject": slot.subject}


def _refused(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOT_JUDGED")
