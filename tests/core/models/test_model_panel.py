"""The models asked side by side: the numbers of training, and a fault of one file, row or network touches no other."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from core.analysis import Findings
from core.errors import CrpbotError
from core.features import WARM_UP, compute
from core.forecasts.lineup import CALIBRATED, CANDLES, PROBABILITY
from core.market import Candles, Windows, stack_windows
from core.models.answers import gather
from core.models.manifest import Kind, Manifest
from core.models.panel import ask_each
from core.models.scaler import Scaler
from core.models.shelf import ModelShelf, OpenModel, Precision, _try_out
from core.models.store import Entry, unknown_version
from core.models.weights import decode
from tests.core.bad_model_files import BAD_FILES
from tests.core.minutes import MINUTE_MS, START_MS, make_frame, to_candles
from tests.core.model_cases import make_model
from training.evaluate import read_odds

ORIGIN = "synthetic-7-edge"
LATER = START_MS + 10 * 1_440 * MINUTE_MS  # the models of the cases learned until the fourth day
ENDS = (500, 501, 640, 999)
SOUND, SOUND_BLOB = make_model(seed=3)

Case = tuple[Manifest, bytes]


class FakeStore:
    """Models in a dictionary."""

    def __init__(self, *cases: Case) -> None:
        self.cases = {manifest.version: (manifest, blob) for manifest, blob in cases}
        self.loads: list[str] = []

    def load(self, version: str) -> Case:
        self.loads.append(version)
        if version not in self.cases:
            raise unknown_version(version, tuple(Entry("", manifest) for manifest, _ in self.cases.values()))
        return self.cases[version]


def forecast(
    shelf: ModelShelf, batches: Sequence[Windows], versions: Sequence[str], seconds_left: Callable[[], float]
) -> list[list[Findings]]:
    """For each batch and row, what the models say, as those put it together who ask them."""
    return gather(batches, versions, dict(ask_each(shelf, batches, versions, seconds_left)))


class FakeShelf:
    """Networks that do what a test says, under the names of their manifests."""

    def __init__(self, **networks: nn.Module) -> None:
        self.networks = networks

    def find(self, version: str) -> OpenModel:
        return OpenModel(Named(SOUND, version), self.networks[version], torch.zeros(1))  # type: ignore[arg-type]


class Named:
    """A manifest under another version."""

    def __init__(self, manifest: Manifest, version: str) -> None:
        self._manifest, self.version = manifest, version

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manifest, name)


class Answers(nn.Module):
    """A network that answers what a function makes of its windows."""

    def __init__(self, answer: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.answer(windows)


def history(symbol: str = "BTC-USD", *, seed: int = 1, size: int = 1_000) -> Candles:
    return to_candles(make_frame(size, seed, start=LATER), symbol=symbol)


def windows(*symbols: str, length: int = CANDLES, origin: str = ORIGIN) -> Windows:
    series = [history(symbol, seed=place + 1) for place, symbol in enumerate(symbols)]
    return stack_windows(series, length, origins=(origin,) * len(symbols) if origin else ())


def ends_of(candles: Candles, ends: Sequence[int]) -> Windows:
    """The last minutes as they were known at each of these rows."""
    block = np.array([[getattr(candles, name)[end + 1 - CANDLES : end + 1] for end in ends] for name in
                      ("open", "high", "low", "close", "volume")])  # fmt: skip
    times = np.array([candles.open_times[end + 1 - CANDLES : end + 1] for end in ends])
    return Windows((candles.symbol,) * len(ends), "1m", times, block, (ORIGIN,) * len(ends))


def plenty() -> float:
    return 60.0


def ask(shelf: Any, batch: Windows, *versions: str) -> list[Findings]:
    (found,) = forecast(shelf, [batch], versions, plenty)
    return found


def probability(found: Findings) -> float:
    (reading,) = found.readings
    return reading.values[PROBABILITY]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_model_says_what_it_said_in_training_of_the_same_minutes(kind: Kind) -> None:
    candles = history()
    raw = compute(candles)
    scaler = Scaler(raw.mean(axis=0, dtype=np.float64), raw.std(axis=0, dtype=np.float64) + 0.1)
    coins = Scaler(np.stack([scaler.mean] * 2), np.stack([scaler.scale] * 2)) if kind is Kind.TRANSFORMER else scaler
    manifest, blob = make_model(kind, scaler=coins)
    network, table, rows = decode(manifest, blob), scaler.apply(raw), np.array(ENDS) - WARM_UP
    learned_from: Any = SimpleNamespace(features=table, window=manifest.window)
    odds = read_odds(network, kind, learned_from, rows)
    found = ask(ModelShelf(FakeStore((manifest, blob))), ends_of(candles, ENDS), manifest.version)
    assert [probability(each) for each in found] == pytest.approx(expit(odds), abs=1e-6)
    assert len({probability(each) for each in found}) > 1
    assert manifest.platt is not None
    calibrated = [each.readings[0].values[CALIBRATED] for each in found]
    assert calibrated == pytest.approx(manifest.platt.apply(odds), abs=1e-6)
    assert [each.readings[0].vote for each in found] == pytest.approx(2 * np.array(calibrated) - 1)


def test_a_model_without_a_line_of_its_own_calls_nothing_calibrated() -> None:
    manifest, blob = make_model(platt=None)
    ((reading,),) = (
        each.readings for each in ask(ModelShelf(FakeStore((manifest, blob))), windows("BTC-USD"), manifest.version)
    )
    assert set(reading.values) == {PROBABILITY}
    assert reading.vote == pytest.approx(2.0 * reading.values[PROBABILITY] - 1.0)
    assert "calibrated" not in reading.words


@pytest.mark.parametrize("kind", list(Kind))
def test_a_row_does_not_see_its_batch(kind: Kind) -> None:
    manifest, blob = make_model(kind)
    shelf = ModelShelf(FakeStore((manifest, blob)))
    candles = history()
    alone = [probability(ask(shelf, ends_of(candles, [end]), manifest.version)[0]) for end in range(900, 964)]
    for size in (2, 3, 7, 10, 64):
        together = ask(shelf, ends_of(candles, range(900, 900 + size)), manifest.version)
        assert [probability(each) for each in together] == pytest.approx(alone[:size], abs=1e-6)


def test_each_coin_of_one_network_is_read_on_its_own_scale() -> None:
    manifest, blob = make_model(Kind.TRANSFORMER)
    other = replace(manifest, scaler=Scaler(manifest.scaler.mean[::-1].copy(), manifest.scaler.scale[::-1].copy()))
    batch = windows("BTC-USD", "ETH-USD")
    mine = [probability(each) for each in ask(ModelShelf(FakeStore((manifest, blob))), batch, manifest.version)]
    theirs = [probability(each) for each in ask(ModelShelf(FakeStore((other, blob))), batch, manifest.version)]
    assert all(here != there for here, there in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_named_and_the_others_answer(name: str) -> None:
    make, words = BAD_FILES[name]
    blob = make()
    bad = replace(SOUND, sha256=sha256(blob).hexdigest(), probe=tuple(each + 1.0 for each in SOUND.probe))
    shelf = ModelShelf(FakeStore((bad, blob), (SOUND, SOUND_BLOB)))
    (found,) = ask(shelf, windows("BTC-USD"), bad.version, SOUND.version)
    assert [reading.theory for reading in found.readings] == [SOUND.version]
    assert [(gap.theory, gap.reason) for gap in found.missing] == [(bad.version, "failed")]
    faults = shelf.prepare([bad.version, SOUND.version])
    assert faults == {bad.version: found.missing[0].detail, SOUND.version: ""}
    assert shelf.versions == (SOUND.version,)
    assert re.search(words, found.missing[0].detail)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_answer_that_is_no_number_is_a_problem_and_never_a_probability(value: float) -> None:
    shelf = FakeShelf(broken=Answers(lambda rows: torch.full((len(rows),), value)), sound=Answers(lambda r: r[:, 0, 0]))
    (found,) = ask(shelf, windows("BTC-USD"), "broken", "sound")
    broken, sound = found.readings
    assert broken.values == {}
    assert broken.vote == 0.0
    assert f"broken answered {value}, which is no number" in str(broken.problem)
    assert sound.problem is None


def test_numbers_too_large_for_the_network_are_a_problem() -> None:
    large = Scaler(np.zeros((2, 31)), np.full((2, 31), 1e-33))
    manifest, blob = make_model(Kind.TRANSFORMER, scaler=large)
    (found,) = ask(ModelShelf(FakeStore((manifest, blob))), windows("BTC-USD"), manifest.version)
    assert "answered nan" in str(found.readings[0].problem)


def test_a_network_that_raises_is_named_and_the_others_answer(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("a secret of the trace")

    with caplog.at_level(logging.ERROR):
        (found,) = ask(
            FakeShelf(ill=Answers(fail), well=Answers(lambda r: r[:, 0, 0])), windows("BTC-USD"), "ill", "well"
        )
    assert [reading.theory for reading in found.readings] == ["well"]
    ((gap),) = found.missing
    assert (gap.theory, gap.reason) == ("ill", "failed")
    assert "ZeroDivisionError" in gap.detail
    assert "secret" not in gap.detail
    assert "secret" in caplog.text


def test_a_row_that_a_network_cannot_bear_sinks_no_other() -> None:
    candles = history()
    batch = ends_of(candles, [900, 901, 902])
    poison = float(SOUND.scaler.apply(compute(candles)[901 - WARM_UP : 902 - WARM_UP])[0, 5])

    def fail_on_poison(rows: torch.Tensor) -> torch.Tensor:
        if bool((rows[:, -1, 5] == poison).any()):
            raise ValueError("poison")
        return rows[:, -1, 5]

    found = ask(FakeShelf(delicate=Answers(fail_on_poison)), batch, "delicate")
    assert [len(each.readings) for each in found] == [1, 0, 1]
    assert [gap.reason for gap in found[1].missing] == ["failed"]


def test_who_comes_too_late_is_missing_and_those_before_it_answer() -> None:
    left = iter([1.0, 0.5, 0.0, -1.0])
    shelf = FakeShelf(**{name: Answers(lambda rows: rows[:, 0, 0]) for name in "abcd"})
    ((found,),) = forecast(shelf, [windows("BTC-USD")], tuple("abcd"), lambda: next(left))  # type: ignore[arg-type]
    assert [reading.theory for reading in found.readings] == ["a", "b"]
    assert [(gap.theory, gap.reason) for gap in found.missing] == [("c", "deadline"), ("d", "deadline")]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (windows("BTC-USD", length=WARM_UP + 59), r"359 minutes are known of BTC-USD, lstm-\w+ needs 360"),
        (windows("BTC-USD", origin="coinbase"), "learned from synthetic-7-edge candles, these come from coinbase"),
        (windows("BTC-USD", origin=""), "these come from elsewhere"),
        (windows("BTC-USD", origin="request"), "reads the server's own candles only"),
        (
            stack_windows([to_candles(make_frame(400, 1))], 400, origins=(ORIGIN,)),
            "learned from candles up to 2026-01-03 21:36 UTC, which this window could not see yet",
        ),
        (
            stack_windows([to_candles(make_frame(400, 1).assign(volume=1e31))], 400, origins=(ORIGIN,)),
            "which this window could not see yet",
        ),
    ],
    ids=["too few", "another market", "no market", "the caller's own", "before it learned", "early and too large"],
)
def test_a_row_that_does_not_suit_is_a_problem_with_the_reason(batch: Windows, words: str) -> None:
    (found,) = ask(ModelShelf(FakeStore((SOUND, SOUND_BLOB))), batch, SOUND.version)
    (reading,) = found.readings
    assert (reading.values, reading.vote, found.missing) == ({}, 0.0, ())
    assert re.search(words, str(reading.problem))


def test_candles_that_no_feature_can_be_made_of_are_a_problem_of_their_row_alone() -> None:
    sound, large = history(), to_candles(make_frame(1_000, 2, start=LATER).assign(volume=1e31))
    batch = stack_windows([sound, large], CANDLES, origins=(ORIGIN, ORIGIN))
    one, other = ask(ModelShelf(FakeStore((SOUND, SOUND_BLOB))), batch, SOUND.version)
    assert one.readings[0].problem is None
    assert "1e+31 is not within" in str(other.readings[0].problem)


def test_a_model_says_nothing_of_a_coin_that_it_does_not_know() -> None:
    found = ask(ModelShelf(FakeStore((SOUND, SOUND_BLOB))), windows("ETH-USD", "BTC-USD", "SOL-USD"), SOUND.version)
    assert [len(each.readings) for each in found] == [0, 1, 0]
    assert [each.missing for each in found] == [(), (), ()]


def test_several_batches_are_answered_in_their_order() -> None:
    shelf = ModelShelf(FakeStore((SOUND, SOUND_BLOB)))
    candles = history()
    batches = [ends_of(candles, [700, 701]), windows("ETH-USD"), ends_of(candles, [702])]
    found = forecast(shelf, batches, [SOUND.version], plenty)
    assert [len(batch) for batch in found] == [2, 1, 1]
    flat = [each for batch in found for each in batch if each.readings]
    assert flat == ask(shelf, ends_of(candles, [700, 701, 702]), SOUND.version)


def test_a_shelf_keeps_two_lineups_and_reads_nothing_twice() -> None:
    first, second, third = (make_model(seed=seed) for seed in (4, 5, 6))
    store = FakeStore(first, second, third)
    shelf = ModelShelf(store)
    names = [manifest.version for manifest, _ in (first, second, third)]
    shelf.prepare(names[:1])
    shelf.prepare(names[:1])
    shelf.prepare(names[1:2])
    assert shelf.versions == (names[0], names[1])
    ask(shelf, windows("BTC-USD"), names[0], names[1])
    assert store.loads == names[:2]
    shelf.prepare(names[2:])
    assert shelf.versions == (names[1], names[2])
    shelf.prepare([])
    assert shelf.versions == (names[2],)
    shelf.prepare([])
    assert shelf.versions == ()


def test_a_version_that_nobody_prepared_is_opened_by_the_question_and_kept_with_its_lineup() -> None:
    store = FakeStore((SOUND, SOUND_BLOB), make_model(seed=4))
    shelf = ModelShelf(store)
    for _ in range(2):
        assert ask(shelf, windows("BTC-USD"), SOUND.version)[0].readings
    assert store.loads == [SOUND.version]
    (other,) = set(store.cases) - {SOUND.version}
    shelf.prepare([other])
    assert set(shelf.versions) == set(store.cases)
    (found,) = ask(shelf, windows("BTC-USD"), "lstm-00000000")
    assert found.missing[0].reason == "failed"
    assert "lstm-00000000" in found.missing[0].detail


def test_the_transformer_in_bfloat16_is_close_to_itself_and_the_small_networks_stay_as_they_are() -> None:
    cases = [make_model(kind) for kind in Kind]
    names = [manifest.version for manifest, _ in cases]
    full, short = (ModelShelf(FakeStore(*cases), precision=precision) for precision in Precision)
    assert set(short.prepare(names).values()) == {""}
    (exact,), (close,) = (ask(shelf, windows("BTC-USD"), *names) for shelf in (full, short))
    here, there = ({each.theory: each.values[PROBABILITY] for each in found.readings} for found in (exact, close))
    for (manifest, _), name in zip(cases, names, strict=True):
        if manifest.kind is Kind.TRANSFORMER:
            assert here[name] != there[name] == pytest.approx(here[name], abs=5e-3)
        else:
            assert here[name] == there[name]


def test_a_gpu_that_is_not_there_is_said_before_any_model_is_opened() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(CrpbotError, match="torch finds none; remedy: gpus: 0"):
        ModelShelf(FakeStore(), device="cuda")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("numbers", "remedy"), [(torch.float32, "gpus: 0"), (torch.bfloat16, "precision: float32")], ids=str
)
def test_a_network_that_answers_otherwise_where_it_is_served_names_what_to_change(
    numbers: torch.dtype, remedy: str
) -> None:
    manifest, blob = make_model(Kind.TRANSFORMER)
    other = replace(manifest, probe=tuple(each + 1.0 for each in manifest.probe))
    with pytest.raises(CrpbotError, match=f"; remedy: {remedy}$"):
        _try_out(other, decode(manifest, blob).to(numbers), numbers)
