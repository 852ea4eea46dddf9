"""`crpbot calibrate`: lines for models that speak together, fitted on candles that none of them learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.progress import bar
from cli.training.advice import complete
from cli.training.candles import EVERY, parse_coin
from cli.training.judging import read_datasets
from cli.training.order import check_torch
from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.errors import Code, CrpbotError
from core.files import Files
from core.models.ensemble_lines import Calibrator, calibration, choose, seated, symbols_of
from core.models.manifest import Manifest
from core.models.store import EVERY_COIN, Entry, Slot
from core.models.weighting import Weights

if TYPE_CHECKING:
    from training.ensemble_calibration import Said

Row = dict[str, Any]  # Any: what becomes JSON


def calibrate(coin: str, folder: Path | None, models: Files, weights: Weights) -> list[Row]:
    """Fits and keeps the lines of one coin, or of each that two models know."""
    check_torch()
    from training.ensemble_calibration import fit_lines

    promoted = ModelFolder(models).promoted()
    speaking = {symbol: counted(promoted, symbol, weights) for symbol in _ask(coin, promoted, weights)}
    heard = _hear_all(speaking, folder, models)
    rows = []
    for symbol, said in heard.items():
        at = datetime.now(UTC)
        fresh, gaps = fit_lines(said, weights, at=at)
        if fresh:
            LinesFolder(models).keep(symbol, fresh)
        lines = [describe_line(each) for each in fresh]
        rows.append({"symbol": symbol, "lines": lines, "gaps": [each._asdict() for each in gaps]})
    return rows


def describe_line(line: Calibrator) -> Row:
    """A line as JSON has it."""
    plain = asdict(line)
    for name in ("first", "last", "at"):
        plain[name] = plain[name].isoformat()
    for name in ("before", "after"):
        quality = getattr(line, name)
        plain[name] = {"brier": quality.brier._asdict(), "error": quality.error._asdict()}
    return {**plain, "kinds": list(line.kinds), "versions": list(line.versions), "weights": line.weights._asdict()}


def wanted(models: Files, symbols: Sequence[str], weights: Weights) -> str | None:
    """The command that fits the lines that are missing for models that speak together; None where none is."""
    promoted = ModelFolder(models).promoted()
    short = []
    for symbol in symbols:
        speaking = counted(promoted, symbol, weights)
        try:
            kept = choose(LinesFolder(models).sheet(symbol), speaking, weights)
        except CrpbotError:
            kept = ()
        if len(speaking) > 1 and not any(len(each.kinds) == len(speaking) for each in kept):
            short.append((symbol, speaking))
    if not short:
        return None
    command = calibration(short[0][0]) if len(short) == 1 else f"crpbot calibrate --coin {EVERY}"
    files = any(not each.origin.startswith("synthetic") for _, speaking in short for each in speaking.values())
    return complete(f"{command}{' --data FOLDER' if files else ''}", models)


def counted(promoted: dict[Slot, Entry], symbol: str, weights: Weights) -> dict[str, Manifest]:
    """The models that have a part in the ensemble of a symbol, by kind: one of weight 0 has none."""
    return {kind: each for kind, each in seated(promoted, symbol).items() if weights.of(kind) > 0.0}


def _ask(coin: str, promoted: dict[Slot, Entry], weights: Weights) -> tuple[str, ...]:
    """The symbols that are meant; refused where fewer than two models speak of one, or one cannot be read."""
    if coin.strip().lower() == EVERY:
        found = tuple(each for each in symbols_of(promoted) if len(counted(promoted, each, weights)) > 1)
        if not found:
            raise _refused(
                "no two models with a weight are promoted for the same coin: one alone has its training's line"
            )
        return found
    symbol = parse_coin(coin)
    for slot, entry in promoted.items():
        if slot.subject in {symbol, EVERY_COIN}:
            entry.read()
    speaking = counted(promoted, symbol, weights)
    if len(speaking) < 2:
        names = ", ".join(each.version for each in speaking.values()) or "no model"
        weightless = " with a weight" if len(seated(promoted, symbol)) > len(speaking) else ""
        detail = f"{names}{weightless} is promoted for {symbol}: lines are for two and more; one alone has its own"
        raise _refused(detail)
    return (symbol,)


def _hear_all(speaking: dict[str, dict[str, Manifest]], folder: Path | None, models: Files) -> dict[str, list[Said]]:
    """What each model says of each of the symbols, every model and its candles opened once."""
    from core.models.weights import decode
    from training.ensemble_calibration import hear
    from training.evaluate import check_same_candles

    versions = {each.version: each for found in speaking.values() for each in found.values()}
    heard: dict[str, list[Said]] = {symbol: [] for symbol in speaking}
    with bar("calibrating") as tell:
        for done, version in enumerate(versions, start=1):
            manifest, blob = ModelFolder(models).load(version)
            network = decode(manifest, blob)
            datasets, whole = read_datasets(manifest, folder)
            check_same_candles(manifest, whole)
            for dataset in datasets:
                if any(each.version == version for each in speaking.get(dataset.symbol, {}).values()):
                    heard[dataset.symbol].append(hear(network, manifest, dataset))
            tell(done, len(versions), f"{version} was heard")
    return heard


def _refused(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOTHING_TO_CALIBRATE")
