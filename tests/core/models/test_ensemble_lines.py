"""The lines of the ensemble are kept beside the models, met only by the versions they are for, and read strictly."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.adapters.files.places import open_files
from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.ensemble import Line
from core.errors import CrpbotError
from core.files import Files
from core.models.ensemble_lines import (
    MOST_KEPT,
    Calibrator,
    Measured,
    Quality,
    Sheet,
    choose,
    merge,
    read_sheet,
    seated,
    write_sheet,
)
from core.models.manifest import Kind, Manifest
from core.models.store import EVERY_COIN, Entry, Slot, slot_of
from core.models.weighting import USUAL, Weights
from tests.core.adapters.test_model_folder_faults import steps_of
from tests.core.model_cases import AT, DAY, make_model, passing

LSTM, LSTM_BLOB = make_model(Kind.LSTM)
WIDE, WIDE_BLOB = make_model(Kind.TRANSFORMER)
AGENT, AGENT_BLOB = make_model(Kind.PPO)
BTC, ETH = "BTC-USD", "ETH-USD"
QUALITY = Quality(Measured(0.2, 0.19, 0.21, 400), Measured(0.01, 0.0, 0.03, 400))


def make_line(*models: Manifest, slope: float = 0.8, weights: Weights = USUAL) -> Calibrator:
    return Calibrator(
        tuple(each.kind.value for each in models),
        tuple(each.version for each in models),
        weights,
        slope,
        -0.1,
        "synthetic-7-edge",
        AT,
        AT + DAY,
        1_440,
        QUALITY,
        Quality(Measured(0.19, None, None, 9), Measured(None, None, None, 9)),
        AT + 9 * DAY,
    )


def entries(*models: Manifest) -> dict[Slot, Entry]:
    return {slot_of(each): Entry("", each) for each in models}


ALL = entries(LSTM, WIDE, AGENT)
PAIR, TRIO = make_line(LSTM, WIDE), make_line(LSTM, WIDE, AGENT)


def keep_both(place: Path | Files) -> LinesFolder:
    kept = LinesFolder(place)
    kept.keep(BTC, [PAIR, TRIO])
    return kept


@pytest.fixture
def folder(files: Files) -> LinesFolder:
    return keep_both(files)


@pytest.fixture
def on_disk(tmp_path: Path) -> LinesFolder:
    return keep_both(tmp_path)


def told(
    folder: LinesFolder, promoted: dict[Slot, Entry], weights: Weights = USUAL
) -> dict[str, list[tuple[str, ...]]]:
    lines, faults = folder.lines(promoted, weights)
    assert faults == ()
    return {symbol: [line.kinds for line in found] for symbol, found in lines.items()}


def test_lines_come_back_as_they_were_kept() -> None:
    sheet = Sheet(BTC, (PAIR, TRIO))
    assert read_sheet(write_sheet(sheet), BTC) == sheet
    assert PAIR.line == Line(("lstm", "transformer"), 0.8, -0.1)


def test_every_set_of_promoted_models_gets_its_line_and_one_alone_its_own(folder: LinesFolder) -> None:
    assert told(folder, ALL) == {
        BTC: [("lstm",), ("transformer",), ("ppo",), ("lstm", "transformer"), ("lstm", "transformer", "ppo")],
        ETH: [("transformer",)],
    }
    (alone,) = folder.lines(entries(AGENT), USUAL)[0][BTC]
    assert AGENT.platt is not None
    assert alone == Line(("ppo",), *AGENT.platt)
    uncalibrated, _ = make_model(Kind.PPO, platt=None)
    assert told(folder, entries(uncalibrated)) == {BTC: []}
    assert told(folder, {}) == {}


def test_a_line_meets_no_other_version_and_no_other_weights(folder: LinesFolder) -> None:
    other, _ = make_model(Kind.PPO, seed=2)
    assert told(folder, entries(LSTM, WIDE, other))[BTC][3:] == [("lstm", "transformer")]
    assert told(folder, entries(LSTM, AGENT))[BTC] == [("lstm",), ("ppo",)]
    assert told(folder, ALL, Weights(0.3, 0.4, 0.3))[BTC][3:] == []


def test_a_line_of_another_market_is_not_chosen(folder: LinesFolder) -> None:
    sheet = Sheet(BTC, (replace(PAIR, origin="coinbase"), TRIO))
    assert choose(sheet, seated(ALL, BTC), USUAL) == (TRIO,)
    # the same weights, learned from another market as their manifests say
    moved = [replace(each, origin="coinbase") for each in (LSTM, WIDE)]
    assert told(folder, entries(*moved))[BTC] == [("lstm",), ("transformer",)]
    assert told(folder, entries(LSTM, moved[1]))[BTC] == [("lstm",), ("transformer",)]


def test_the_way_back_finds_its_lines_again(folder: LinesFolder) -> None:
    other, _ = make_model(Kind.LSTM, seed=2)
    folder.keep(BTC, [make_line(other, WIDE), make_line(LSTM, WIDE, slope=0.5)])
    assert told(LinesFolder(open_files(folder._files.url)), entries(other, WIDE))[BTC][2:] == [("lstm", "transformer")]
    lines, _ = folder.lines(ALL, USUAL)
    assert [line.slope for line in lines[BTC][3:]] == [0.8, 0.5], "the fresh one took the place of the earlier"


def test_the_oldest_lines_of_too_many_are_forgotten() -> None:
    sheet = Sheet(BTC, (PAIR,))
    for number in range(MOST_KEPT):
        sheet = merge(sheet, [replace(PAIR, versions=(f"lstm-{number}", "transformer-1"))])
    assert len(sheet.calibrators) == MOST_KEPT
    assert PAIR not in sheet.calibrators
    assert len(write_sheet(sheet)) < 262_144, "and all of them can be read again"


def test_a_model_of_the_coin_goes_before_one_of_several_coins() -> None:
    several, _ = make_model(Kind.LSTM, seed=3, symbols=(BTC, ETH))
    assert slot_of(several) == Slot(Kind.LSTM, EVERY_COIN)
    for promoted in (entries(several, LSTM), entries(LSTM, several)):
        assert seated(promoted, BTC) == {"lstm": LSTM}
        assert seated(promoted, ETH) == {"lstm": several}
    damaged = {Slot(Kind.LSTM, BTC): Entry("x", None, CrpbotError), **entries(AGENT)}  # type: ignore[arg-type]
    assert list(seated(damaged, BTC)) == ["ppo"]


def change(**entries: Any) -> Callable[[Path], object]:
    """Another entry in the first line, with a digest that fits it."""

    def write(path: Path) -> None:
        sheet = read_sheet(path.read_text(), BTC)
        path.write_text(write_sheet(Sheet(BTC, (replace(sheet.calibrators[0], **entries),))))

    return write


def touch_up(path: Path) -> None:
    path.write_text(path.read_text().replace("0.8", "0.9", 1))


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def of_another_coin(path: Path) -> None:
    path.write_text(write_sheet(Sheet(ETH, (PAIR,))))


def with_more(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda path: os.truncate(path, 300), "cannot be read"),
    "empty": (lambda path: path.write_text(""), "cannot be read"),
    "a list": (lambda path: path.write_text("[]"), "cannot be read"),
    "no text": (lambda path: path.write_bytes(b"\xff" * 9), "is no text"),
    "huge": (lambda path: path.write_text(" " * 300_000), "300000 characters"),
    "a bomb": (lambda path: path.write_text('{"a":' * 60_000 + "1" + "}" * 60_000), "cannot be read|characters"),
    "NaN": (lambda path: path.write_text(path.read_text().replace("0.8", "NaN", 1)), "NaN is no JSON"),
    "a pipe": (as_pipe, "is no plain file"),
    "a link": (as_link, "symbolic links"),
    "touched up": (touch_up, "something was changed"),
    "one entry more": (with_more, "something was changed"),
    "of another coin": (of_another_coin, "are those of ETH-USD"),
    "words for a number": (change(slope="0.8"), "something that is no number"),
    "true for a number": (change(intercept=True), "something that is no number"),
    "a falling line": (change(slope=-0.1), "a slope or a weight below 0"),
    "one kind": (change(kinds=("lstm",), versions=("lstm-1",)), "name the models lstm"),
    "an unknown kind": (change(kinds=("lstm", "oracle")), "name the models lstm, oracle"),
    "kinds in another order": (change(kinds=("transformer", "lstm")), "name the models transformer, lstm"),
    "a version too few": (change(versions=("lstm-1",)), "name 1 versions of 2 models"),
    "weights of nothing": (change(weights=Weights(0.0, 0.0, 0.0)), "a slope or a weight below 0"),
    "no time zone": (change(at=AT.replace(tzinfo=None)), "an instant without a time zone"),
    "a span that ends before it begins": (change(first=AT + 2 * DAY), "ends before it begins"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_a_fault_and_never_a_line(name: str, on_disk: LinesFolder) -> None:
    folder = on_disk
    damage, words = DAMAGES[name]
    path = folder._files.root / "ensemble_BTC-USD_lines.json"
    damage(path)
    for reader in (folder, LinesFolder(folder._files.root)):
        lines, (fault,) = reader.lines(ALL, USUAL)
        assert [line.kinds for line in lines[BTC]] == [("lstm",), ("transformer",), ("ppo",)], "their own, no others"
        assert fault.startswith("ensemble_BTC-USD_lines.json")
    with pytest.raises(CrpbotError, match=words):
        folder.sheet(BTC)
    folder.keep(BTC, [PAIR])
    assert folder.sheet(BTC) == Sheet(BTC, (PAIR,))


def test_nothing_is_read_again_while_nothing_changed(on_disk: LinesFolder) -> None:
    folder = on_disk
    path = folder._files.root / "ensemble_BTC-USD_lines.json"
    before = folder.lines(ALL, USUAL)
    status = path.stat()
    path.write_text("x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert folder.lines(ALL, USUAL) == before, "the same file by its date: it was not opened"
    path.touch()
    assert folder.lines(ALL, USUAL) != before


def test_killed_anywhere_the_old_lines_or_the_new_are_there(on_disk: LinesFolder) -> None:
    folder = on_disk
    fresh = make_line(LSTM, WIDE, slope=0.4)
    found: set[float] = set()

    def check() -> None:
        (slope,) = [
            each.slope for each in LinesFolder(folder._files.root).sheet(BTC).calibrators if len(each.kinds) == 2
        ]
        found.add(slope)
        if slope == 0.4:
            folder.keep(BTC, [PAIR])

    assert steps_of(lambda: LinesFolder(folder._files.root).keep(BTC, [fresh]), check) > 5
    assert found == {0.8, 0.4}


def test_lines_are_no_model_of_the_folder(files: Files) -> None:
    store = ModelFolder(files)
    store.save(LSTM, LSTM_BLOB)
    store.promote(LSTM.version, passing(LSTM))
    LinesFolder(files).keep(BTC, [PAIR])
    assert [each.file for each in ModelFolder(files).entries()] == [f"lstm_BTC-USD_1m_{LSTM.sha256[:8]}.pt"]
