"""What `crpbot models` tells: every model of the folder, who decides, who is on trial, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cli.models.calibration import counted, describe_line, wanted
from cli.training.judging import slot_asked
from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.adapters.models.promotions import PromotionRecord
from core.adapters.models.reports import ModelReports
from core.ensemble import Line
from core.errors import Code, CrpbotError
from core.files import Files
from core.models.ensemble_lines import choose, own_lines, seated, symbols_of
from core.models.judgement import Judgement
from core.models.manifest import Manifest
from core.models.manifest_text import digest
from core.models.store import Entry, Judged, Slot, slot_of, unknown_version
from core.models.weighting import Weights

ACCURACY: Final = "test_accuracy"  # of the manifest, on the candles that the model never touched
NOT_JUDGED: Final = "not judged"

Row = dict[str, Any]  # Any: what becomes JSON


def list_models(models: Files, weights: Weights) -> Row:
    """Every model, oldest first, the lines of each coin's ensemble, and all that is wrong in the folder."""
    store = ModelFolder(models)
    stock, states = store.look(), _states(store)
    judged = ModelReports(models).judged(stock)
    found = [each.manifest for each in stock.entries if each.manifest is not None]
    rows = [_describe(each, states, judged.get(each.version)) for each in found]
    damaged = [str(each.fault) for each in stock.entries if each.manifest is None]
    lines, line_faults = LinesFolder(models).lines(store.promoted(), weights)
    _, record_faults = PromotionRecord(models).read()
    ensembles = [
        {
            "symbol": symbol,
            "models": {kind: each.version for kind, each in counted(store.promoted(), symbol, weights).items()},
            "lines": [list(line.kinds) for line in kept],
            "next": wanted(models, [symbol], weights),
        }
        for symbol, kept in lines.items()
    ]
    faults = [*_link_faults(store), *damaged, *line_faults, *record_faults]
    return {"folder": models.url, "models": rows, "ensembles": ensembles, "faults": list(dict.fromkeys(faults))}


def show_model(version: str, models: Files, weights: Weights) -> Row:
    """One model: what its manifest says, the gate's rulings, its part in the ensembles, and when it decided."""
    store = ModelFolder(models)
    stock = store.look()
    entries = [each for each in stock.entries if each.manifest and each.manifest.version == version]
    if not entries:
        raise unknown_version(version, stock.entries)
    manifest = entries[0].read()
    judged = ModelReports(models).judged(stock._replace(entries=tuple(entries))).get(version)
    promotions = [each for each in store.history(slot_of(manifest)) if version in {each.version, each.before}]
    return {
        **_describe(manifest, _states(store), judged),
        "manifest": _facts(manifest),
        **_gate(judged, models),
        "lines": _lines(manifest, store, models, weights),
        "history": [
            {"at": each.at.isoformat(), "action": str(each.action), "version": each.version, "before": each.before}
            for each in promotions
        ],
    }


def roll_back(symbol: str, kind: str, models: Files) -> Row:
    """Back to the version that decided before; refused in clear words where there is none, or it cannot be opened."""
    store, slot = ModelFolder(models), slot_asked(kind, symbol)
    deciding, version = store.promoted().get(slot), store.previous(slot)
    if version is None:
        now = "nobody decides" if deciding is None else f"{_name(deciding)} decides"
        detail = f"no {slot.kind} of {slot.subject} decided before: {now}, and nothing to go back to is on record"
        raise CrpbotError(
            Code.FAILED_PRECONDITION, f"{detail}; `crpbot models list` tells what there is", reason="NO_WAY_BACK"
        )
    store.restore(version)
    return {"version": version, "before": None if deciding is None else _name(deciding), **_slot(slot)}


def nominate(version: str, models: Files) -> Row:
    """Puts a model on trial; says which was before."""
    store = ModelFolder(models)
    manifest, _ = store.load(version)
    earlier = store.candidates().get(slot_of(manifest))
    store.nominate(version)
    return {"version": version, "before": None if earlier is None else _name(earlier), **_slot(slot_of(manifest))}


def withdraw(symbol: str, kind: str, models: Files) -> Row:
    """Ends the trial of a kind and coin."""
    slot = slot_asked(kind, symbol)
    return {"version": ModelFolder(models).withdraw(slot), **_slot(slot)}


def withdraw_version(version: str, models: Files) -> Row:
    """Ends the trial of just this model."""
    for slot, entry in ModelFolder(models).candidates().items():
        if _name(entry) == version:
            return {"version": ModelFolder(models).withdraw(slot), **_slot(slot)}
    known = [_name(entry) for entry in ModelFolder(models).candidates().values()]
    detail = f"{version} is no candidate; candidates are {', '.join(known) or 'none'}"
    raise CrpbotError(Code.NOT_FOUND, detail, reason="NOT_PROMOTED")


def _describe(manifest: Manifest, states: dict[str, str], judged: Judged | None) -> Row:
    return {
        "version": manifest.version,
        "kind": str(manifest.kind),
        "symbols": list(manifest.symbols),
        "origin": manifest.origin,
        "state": states.get(manifest.version, ""),
        "learned_until": manifest.learned_until.isoformat(),
        "created_at": manifest.created_at.isoformat(),
        "accuracy": manifest.metrics.get(ACCURACY),
        "verdict": NOT_JUDGED if judged is None else str(judged.newest.verdict),
    }


def _states(store: ModelFolder) -> dict[str, str]:
    """Who decides, who is on trial, and to whom a way back leads."""
    promoted, candidates = store.promoted(), store.candidates()
    slots = {slot_of(each.manifest) for each in store.entries() if each.manifest is not None}
    previous = {store.previous(slot): "previous" for slot in slots}
    trials = {_name(entry): "candidate" for entry in candidates.values()}
    return (
        {str(name): state for name, state in previous.items() if name}
        | trials
        | dict.fromkeys(map(_name, promoted.values()), "promoted")
    )


def _link_faults(store: ModelFolder) -> list[str]:
    """What is wrong with those that should decide or be on trial."""
    return [
        f"{slot.kind} of {slot.subject}: {what} cannot be used: {entry.fault}"
        for what, entries in (("what decides", store.promoted()), ("the candidate", store.candidates()))
        for slot, entry in entries.items()
        if entry.manifest is None
    ]


def _gate(judged: Judged | None, models: Files) -> Row:
    """What the gate said last, its page, and the earlier judgement that the model was promoted with."""
    if judged is None:
        return {"judged_at": None, "sentence": None, "rulings": [], "report": None, "promoted_with": None}
    newest, earlier = judged.newest, judged.promoted_with
    return {
        "judged_at": newest.at.isoformat(),
        "sentence": newest.sentence,
        "rulings": _rulings(newest),
        "report": None if models.changed(judged.page) is None else f"{models.url}/{judged.page}",
        "promoted_with": None
        if earlier is None
        else {"at": earlier.at.isoformat(), "verdict": str(earlier.verdict), "sentence": earlier.sentence},
    }


def _rulings(judgement: Judgement) -> list[Row]:
    return [
        {"rule": str(each.rule), "symbol": each.symbol, "outcome": str(each.outcome), "sentence": each.sentence}
        for each in judgement.rulings
    ]


def _facts(manifest: Manifest) -> Row:
    """What of a manifest people ask for; the whole lies beside the weights."""
    spans = {
        name: None if span is None else [span.first.isoformat(), span.last.isoformat()]
        for name, span in zip(manifest.spans._fields, manifest.spans, strict=True)
    }
    return {
        "interval": manifest.interval,
        "window": manifest.window,
        "horizon": manifest.horizon,
        "architecture": dict(manifest.architecture),
        "parameters": manifest.parameters,
        "features": len(manifest.features),
        "fingerprint": manifest.fingerprint,
        "spans": spans,
        "metrics": dict(manifest.metrics),
        "platt": None if manifest.platt is None else manifest.platt._asdict(),
        "seed": manifest.seed,
        "run": manifest.run,
        "data_hash": manifest.data_hash,
        "code_hash": manifest.code_hash,
        "sha256": manifest.sha256,
        "digest": digest(manifest),
    }


def _lines(manifest: Manifest, store: ModelFolder, models: Files, weights: Weights) -> list[Row]:
    """The lines in which it has a part now, each with its symbol."""
    found: list[Row] = []
    for symbol in symbols_of({slot_of(manifest): Entry("", manifest)}):
        speaking = seated(store.promoted(), symbol)
        if manifest.version not in {each.version for each in speaking.values()}:
            continue
        own = {kind: each for kind, each in speaking.items() if each.version == manifest.version}
        found += [{"symbol": symbol, **line_row} for line_row in map(_own_line, own_lines(own))]
        try:
            kept = choose(LinesFolder(models).sheet(symbol), speaking, weights)
        except CrpbotError:  # told by the list
            kept = ()
        found += [{"symbol": symbol, **describe_line(each)} for each in kept if manifest.version in each.versions]
    return found


def _own_line(line: Line) -> Row:
    return {"kinds": list(line.kinds), "slope": line.slope, "intercept": line.intercept}


def _name(entry: Entry) -> str:
    return entry.file if entry.manifest is None else entry.manifest.version


def _slot(slot: Slot) -> Row:
    return {"kind": str(slot.kind), "subject": slot.subject}


def order_states(rows: Sequence[Row]) -> list[Row]:
    """Those that decide first, then candidates, then those to go back to, then the rest, the newest of each first."""
    places = {state: place for place, state in enumerate(("promoted", "candidate", "previous", ""))}
    ordered = list(reversed(rows))
    ordered.sort(key=lambda row: places[row["state"]])
    return ordered
