"""A stored decision comes out the same again, to the last bit; one changed byte or constant is found and named."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import core.analyzers.risk_metrics
from cli.signals.replay import replay_ledger
from core import analyzers
from core.adapters.fits import load_fits
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.reads import Signals
from core.analysis import Reading
from core.analyzers import Analyzer, find
from core.deciding.confidence import TierRecord, to_columns
from core.deciding.decision import decide
from core.fitted import Library, Shelf
from core.market import Context, Windows, stack_windows
from core.replaying.decision import Machine, Replayed, replay_decision
from core.replaying.readings import Heard, replay, replay_readings
from core.signal import Synthesis, Version
from core.signals.case_file import read_case, write_case
from core.signals.ports import WholeSignal
from core.trade import Book, Direction
from serving.app import fit_folder
from tests.core.decisions import decision, store
from tests.core.replay_cases import FITTED, FITTED_ON, MACHINE, a_fit, decide_much, read_all, settings_of
from tests.fakes import NOW, walk_candles

LEAST = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a server that decided much."""
    made = tmp_path_factory.mktemp("decided")
    asyncio.run(decide_much(made))
    return made


@pytest.fixture(scope="module")
def wholes(folder: Path) -> list[WholeSignal]:
    """Its decisions with all they rest on."""
    return asyncio.run(read_all(folder))


@pytest.fixture(scope="module")
def shelf(folder: Path) -> Shelf:
    """Its fits."""
    return load_fits(fit_folder(settings_of(folder, {})))


def replay_folder(folder: Path, signal_id: str | None = None) -> list[Replayed]:
    """As the command does it, from a ledger opened for it."""

    async def run() -> list[Replayed]:
        settings = settings_of(folder, {})
        ledger = await Ledger.open(settings.database_url.get_secret_value())
        try:
            fits = load_fits(fit_folder(settings))
            signals = Signals(ledger)
            return await replay_ledger(signals, fits, MACHINE, signal_id=signal_id, tell=lambda *_: None)
        finally:
            await ledger.close()

    return asyncio.run(run())


def altered(whole: WholeSignal, kind: str, before: str, after: str) -> WholeSignal:
    """The decision with one of its texts changed in one place, as if nothing guarded it."""
    assert before in whole.texts[kind]
    return replace(whole, texts={**whole.texts, kind: whole.texts[kind].replace(before, after, 1)})


def with_version(whole: WholeSignal, part: str, version: str) -> WholeSignal:
    """The decision as another machine would have made it."""
    signal = whole.stored.signal
    versions = tuple(Version(part, version) if each.part == part else each for each in signal.versions)
    return with_signal(whole, versions=versions)


def with_signal(whole: WholeSignal, **changes: object) -> WholeSignal:
    """The decision with its row changed, as if nothing guarded it."""
    signal = replace(whole.stored.signal, **changes)  # type: ignore[arg-type]
    return replace(whole, stored=replace(whole.stored, signal=signal))


def pick(wholes: Sequence[WholeSignal], wanted: Callable[[WholeSignal], bool]) -> WholeSignal:
    """The first decision like that; that there is one is part of the test."""
    return next(whole for whole in wholes if wanted(whole))


def answered(whole: WholeSignal) -> bool:
    """Whether the model's verdict decided it."""
    return whole.stored.signal.synthesis is Synthesis.LLM


def published(whole: WholeSignal) -> bool:
    """Whether it is a BUY or SELL."""
    return whole.stored.signal.direction is not Direction.HOLD


def test_every_kind_of_decision_comes_out_the_same_twice_and_after_reopening(
    folder: Path, wholes: list[WholeSignal], shelf: Shelf
) -> None:
    signals = [whole.stored.signal for whole in wholes]
    assert len(signals) >= LEAST
    assert {each.synthesis for each in signals} == set(Synthesis)
    assert {each.book for each in signals} == set(Book)
    assert sum(published(whole) for whole in wholes) >= 3
    assert {each.slot is None for each in signals} == {True, False}
    assert any("prompt" in whole.texts and answered(whole) is False for whole in wholes)
    for found in (replay(wholes, shelf, MACHINE), replay(wholes, shelf, MACHINE), replay_folder(folder)):
        assert [words for each in found for words in each.differences] == []
        assert {each.decision for each in found} == {True}
        assert {each.prompt for each in found} == {True, None}
        assert [each.readings for each in found].count(None) == 1, "only the one that nothing was read for"
    assert replay_folder(folder, signals[3].id) == [found[3]]


def test_what_was_refused_before_anything_was_read_says_that_there_is_no_more(wholes: list[WholeSignal]) -> None:
    whole = pick(wholes, lambda each: each.stored.signal.as_of is None)
    found = replay_decision(whole, MACHINE)
    assert (found.decision, found.prompt, found.differences) == (True, None, ())
    assert found.remarks == ("nothing was read for it, so the row is all there is",)


def test_a_changed_constant_of_a_theory_is_found(
    wholes: list[WholeSignal], shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    theory = core.analyzers.risk_metrics
    monkeypatch.setattr(theory, "HALF_WIDTH", theory.HALF_WIDTH * 1.01)
    found = replay(wholes[:5], shelf, MACHINE)
    assert all(each.decision and each.readings is False for each in found)
    assert all(words.startswith("risk_metrics.") for each in found for words in each.differences)


def scaled(factor: float) -> Callable[[Analyzer, Windows, Library], Sequence[Reading]]:
    """The theories as they are, but every number of one of them is a little larger."""

    def evaluate(analyzer: Analyzer, windows: Windows, library: Library) -> Sequence[Reading]:
        found = analyzers.evaluate(analyzer, windows, library)
        if analyzer.name != "kalman_filter":
            return found
        return [replace(each, values={name: value * factor for name, value in each.values.items()}) for each in found]

    return evaluate


def test_the_last_bit_counts_under_the_same_arithmetic_and_nine_digits_under_another(
    wholes: list[WholeSignal], shelf: Shelf
) -> None:
    here, elsewhere = wholes[0], with_version(wholes[0], "numerics", "0123456789abcdef")
    (strict,) = replay([here], shelf, MACHINE, evaluate=scaled(1.0 + 1e-13))
    assert strict.differences[0].startswith("kalman_filter.")
    (near,) = replay([elsewhere], shelf, MACHINE, evaluate=scaled(1.0 + 1e-13))
    assert (near.decision, near.readings, near.differences) == (True, True, ())
    assert any(words.startswith("numerics: ") and "kalman_filter" in words for words in near.remarks)
    (far,) = replay([elsewhere], shelf, MACHINE, evaluate=scaled(1.0 + 1e-6))
    assert far.differences[0].startswith("kalman_filter.")


def test_a_theory_that_raises_now_is_a_difference_and_hides_no_other(wholes: list[WholeSignal], shelf: Shelf) -> None:
    def evaluate(analyzer: Analyzer, windows: Windows, library: Library) -> Sequence[Reading]:
        if analyzer.name == "hurst_exponent" and wholes[1].stored.signal.symbol in windows.symbols:
            raise FloatingPointError
        return analyzers.evaluate(analyzer, windows, library)

    first, second = replay(wholes[:2], shelf, MACHINE, evaluate=evaluate)
    assert first.differences == ()
    assert second.differences == ("hurst_exponent: raises FloatingPointError now",)


def test_another_reply_than_the_one_that_was_judged_is_found(wholes: list[WholeSignal]) -> None:
    whole = pick(wholes, answered)
    found = replay_decision(altered(whole, "reply", "weighed", "Weighed"), MACHINE)
    assert found.decision is False
    assert found.differences[0].startswith("reply: differs from character ")
    gone = replace(whole, texts={kind: text for kind, text in whole.texts.items() if kind != "reply"})
    assert "reply: the case rests on one, and none is stored" in replay_decision(gone, MACHINE).differences


def test_another_prompt_than_the_one_that_was_sent_is_found(wholes: list[WholeSignal]) -> None:
    whole = pick(wholes, answered)
    for before, after in (("Price: ", "Price:  "), ("Market: ", "market: ")):
        found = replay_decision(altered(whole, "prompt", before, after), MACHINE)
        assert (found.decision, found.prompt) == (True, False)
        assert found.differences[0].startswith("prompt: differs from character ")


def test_a_told_threshold_that_was_changed_is_found_where_the_rule_stepped_in_too(wholes: list[WholeSignal]) -> None:
    whole = pick(wholes, lambda each: "prompt" in each.texts and each.stored.signal.variant is None)
    assert replay_decision(whole, MACHINE).differences == ()
    found = replay_decision(altered(whole, "prompt", "Threshold: 0.", "Threshold: 1."), MACHINE)
    assert found.differences[0].startswith("versions: ")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"confidence": 0.123}, "confidence: "),
        ({"reasoning": "Because."}, "reasoning: "),
        ({"coverage": 0.5}, "coverage: "),
        ({"threshold": 0.64}, "threshold: "),
        ({"id": "sig_0"}, "id: "),
        ({"synthesis_reason": "so"}, "synthesis_reason: "),
        ({"votes": ()}, "votes: "),
        ({"take_profit": None}, "take_profit: "),
        ({"stop_first": 0.0}, "stop_first: "),
        ({"direction": Direction.HOLD}, "direction: HOLD is stored, "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_row_that_the_case_does_not_give_is_found(
    change: dict[str, object], named: str, wholes: list[WholeSignal]
) -> None:
    whole = pick(wholes, published)
    found = replay_decision(with_signal(whole, **change), MACHINE)
    assert found.decision is False
    assert found.differences[0].startswith(named)


def test_a_hold_cannot_be_told_as_a_signal_nor_a_veto_of_the_decision_be_left_out(wholes: list[WholeSignal]) -> None:
    vetoed = pick(wholes, lambda each: bool(each.stored.signal.vetoes) and "case" in each.texts)
    bought = replay_decision(with_signal(vetoed, direction=Direction.BUY), MACHINE)
    assert bought.differences[0].startswith("direction: BUY is stored, ")
    freed = replay_decision(with_signal(vetoed, vetoes=()), MACHINE)
    assert freed.differences[0].startswith("vetoes: ")


def test_other_candles_than_those_that_were_read_are_found(wholes: list[WholeSignal], shelf: Shelf) -> None:
    whole = wholes[0]
    candles = whole.candles[0]
    volume = candles.volume.copy()
    volume[7] = np.nextafter(volume[7], np.inf)
    close = candles.close.copy()
    close[-1] = (candles.low[-1] + candles.high[-1]) / 2 + 1e-9
    (last,) = replay([replace(whole, candles=(replace(candles, close=close),))], shelf, MACHINE)
    assert any(words.startswith("price: ") for words in last.differences)
    assert last.readings is False
    (other,) = replay([replace(whole, candles=wholes[1].candles)], shelf, MACHINE)
    assert any(words.startswith("candles: ") for words in other.differences)


def test_a_case_that_is_no_case_is_told_and_does_not_stop_the_others(wholes: list[WholeSignal], shelf: Shelf) -> None:
    broken = replace(wholes[0], texts={"case": wholes[0].texts["case"][:-9]})
    first, second = replay([broken, wholes[1]], shelf, MACHINE)
    assert first.differences[0].startswith("case: cannot be read or decided on (JSONDecodeError")
    assert (first.decision, first.readings, second.differences) == (False, None, ())


def test_numbers_that_no_decision_can_be_made_from_are_told(wholes: list[WholeSignal], shelf: Shelf) -> None:
    endless = altered(wholes[0], "case", '"default":', '"default":1e999,"was":')
    (found,) = replay([endless], shelf, MACHINE)
    assert found.decision is False
    assert found.differences[0].startswith("case: ")


def with_vote(whole: WholeSignal, theory: str, vote: float) -> WholeSignal:
    """The decision with another vote in its case, as if nothing guarded it."""
    case, mode = read_case(whole.texts["case"])
    readings = tuple(replace(each, vote=vote) if each.theory == theory else each for each in case.analysis.readings)
    changed = replace(case, analysis=replace(case.analysis, readings=readings))
    return replace(whole, texts={**whole.texts, "case": write_case(changed, mode)})


def test_a_vote_that_was_changed_in_the_case_is_found_in_the_decision_and_among_the_readings(
    wholes: list[WholeSignal], shelf: Shelf
) -> None:
    (found,) = replay([with_vote(wholes[0], "kalman_filter", 0.77)], shelf, MACHINE)
    assert (found.decision, found.readings) == (False, False)
    assert any(words.startswith("votes: ") for words in found.differences)
    assert found.differences[-1].startswith("kalman_filter.vote: '0.77' is stored, ")


def test_a_theory_that_had_no_facts_to_read_is_computed_again_too(wholes: list[WholeSignal], shelf: Shelf) -> None:
    for theory in ("bayesian_win_rate", "market_context"):
        (found,) = replay([with_vote(wholes[0], theory, 0.77)], shelf, MACHINE)
        assert f"{theory}.vote: '0.77' is stored, '0.0' comes out" in found.differences


def test_a_case_of_another_spelling_is_found(wholes: list[WholeSignal]) -> None:
    found = replay_decision(altered(wholes[0], "case", '"version":2', '"version":1'), MACHINE)
    assert found.differences[0].startswith("case: differs from character ")


def test_another_version_of_the_code_is_named_beside_a_difference(wholes: list[WholeSignal]) -> None:
    whole = with_signal(wholes[0], confidence=0.1)
    found = replay_decision(whole, Machine("9.9.9", MACHINE.numerics))
    assert found.remarks == (f"code: decided by {MACHINE.code}, this is 9.9.9",)
    assert replay_decision(wholes[0], Machine("9.9.9", MACHINE.numerics)).remarks == ()


def test_a_reading_with_facts_of_the_whole_market_is_named_and_is_no_difference(wholes: list[WholeSignal]) -> None:
    whole = wholes[0]
    case, _ = read_case(whole.texts["case"])
    facts = Context(*(np.array([value]) for value in (1.0, 50.0, 0.7, 40.0, 5.0)))
    windows = replace(stack_windows(whole.candles, 500, origins=whole.identities), market=facts)
    told = {name: analyzers.evaluate(find(name), windows)[0] for name in ("market_context", "hurst_exponent")}
    analysis = replace(case.analysis, readings=tuple(told.values()))
    heard = Heard(analysis, whole.candles[0], whole.identities[0], whole.stored.signal.timestamp, exact=True)
    (found,) = replay_readings([heard], Shelf())
    assert found.differences == ()
    assert found.remarks == (
        "market_context was not computed again: it reads facts besides the candles, and those are not kept",
    )


def test_a_fit_that_was_replaced_since_is_named_and_one_that_was_altered_is_found(
    wholes: list[WholeSignal], shelf: Shelf
) -> None:
    def is_fitted(whole: WholeSignal) -> bool:
        signal = whole.stored.signal
        return (signal.symbol, signal.interval) == (FITTED_ON, "5m") and "case" in whole.texts

    whole = pick(wholes, is_fitted)
    assert replay([whole], shelf, MACHINE)[0].remarks == ()
    (gone,) = replay([whole], Shelf(), MACHINE)
    assert gone.differences == ()
    assert gone.remarks[0].startswith(f"{FITTED} was not computed again: the fit of then cannot be used any more: ")
    sample = a_fit().states[FITTED_ON]
    other = sample._replace(**{name: value * 0.9 for name, value in sample._asdict().items() if value.dtype == float})
    (newer,) = replay([whole], Shelf((a_fit(state=other, fitted_at=datetime.now(UTC)),)), MACHINE)
    assert newer.differences == ()
    assert newer.remarks[0].startswith(f"{FITTED} was not computed again: it was fitted anew on ")
    (found,) = replay([whole], Shelf((a_fit(state=other),)), MACHINE)
    assert found.differences[0].startswith(f"{FITTED}.")


def test_a_theory_that_was_not_fitted_at_the_decision_is_named_whenever_its_fit_says_it_was_made(
    wholes: list[WholeSignal], shelf: Shelf
) -> None:
    whole = pick(wholes, lambda each: each.stored.signal.symbol == FITTED_ON and "case" in each.texts)
    case, _ = read_case(whole.texts["case"])
    said = Reading(FITTED, {}, 0.0, "", "not fitted yet; remedy: crpbot fit --interval 5m --symbol BTC-USD")
    heard = Heard(
        replace(case.analysis, readings=(said,)),
        whole.candles[0],
        whole.identities[0],
        whole.stored.signal.timestamp,
        exact=True,
    )
    (found,) = replay_readings([heard], shelf)
    assert found == ((), (f"{FITTED} was not computed again: it had no fit then: {said.problem}",))


def test_a_theory_that_is_no_more_is_named(wholes: list[WholeSignal]) -> None:
    whole = wholes[0]
    case, _ = read_case(whole.texts["case"])
    analysis = replace(case.analysis, readings=(Reading("tea_leaves", {"leaves": 3.0}, 0.1, "three"),))
    heard = Heard(analysis, whole.candles[0], "", whole.stored.signal.timestamp, exact=True)
    (found,) = replay_readings([heard], Shelf())
    assert found.remarks == ("tea_leaves was not computed again: there is no such theory any more",)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The same state in a folder that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def spoil(folder: Path, *statements: str) -> None:
    """Change the database as its owner can: the triggers go first."""
    (path,) = folder.rglob("*.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for statement in (*(f"DROP TRIGGER {name}" for (name,) in triggers), *statements):
            assert connection.execute(statement).rowcount != 0


SPOIL_TEXT = (
    "UPDATE signal_texts SET packed = CAST(substr(packed, 1, 20) || x'00' || substr(packed, 22) AS BLOB) "
    "WHERE kind = '{kind}' AND part = 0 AND signal_seq = {seq}"
)
SPOIL_ROW = "UPDATE signals SET confidence = confidence + 0.01 WHERE audit_seq = {seq}"
SPOIL_CANDLE = "UPDATE candles SET volume = volume + 1 WHERE open_ms = (SELECT max(open_ms) FROM candles)"


@pytest.mark.parametrize(
    ("kind", "statement", "named"),
    [
        ("reply", SPOIL_TEXT, "the reply of signal {seq} is not what was stored"),
        ("prompt", SPOIL_TEXT, "the prompt of signal {seq} is not what was stored"),
        ("case", SPOIL_TEXT, "the case of signal {seq} is not what was stored"),
        ("row", SPOIL_ROW, "signal {id} is not what was stored"),
        ("candle", SPOIL_CANDLE, "candles of {symbol} {interval} from "),
    ],
)
def test_one_changed_byte_in_the_ledger_is_found_and_the_other_decisions_are_still_replayed(
    kind: str, statement: str, named: str, copy: Path, wholes: list[WholeSignal]
) -> None:
    stored = pick(wholes, answered).stored
    facts = {"seq": stored.seq, "id": stored.signal.id, "kind": kind}
    facts |= {"symbol": stored.signal.symbol, "interval": stored.signal.interval}
    spoil(copy, statement.format(**facts))
    found = {each.id: each for each in replay_folder(copy)}
    assert named.format(**facts) in found[stored.signal.id].differences[0]
    assert sum(each.decision is True for each in found.values()) >= 1
    if kind != "candle":  # which several decisions saw
        assert [each.id for each in found.values() if each.differences] == [stored.signal.id]


def test_what_was_forgotten_is_told_and_is_no_difference(copy: Path) -> None:
    async def forget() -> None:
        ledger = await Ledger.open(settings_of(copy, {}).database_url.get_secret_value())
        try:
            await Signals(ledger).forget(datetime.now(UTC) + timedelta(hours=1))
        finally:
            await ledger.close()

    asyncio.run(forget())
    found = replay_folder(copy)
    assert all(each.differences == () for each in found)
    told = [each.remarks for each in found if each.decision is None]
    assert len(told) == len(found) - 1
    assert set(told) == {("its texts have been forgotten: nothing to replay it from",)}


def test_a_decision_whose_candles_alone_were_forgotten_says_so(wholes: list[WholeSignal], shelf: Shelf) -> None:
    (found,) = replay([replace(wholes[0], candles=())], shelf, MACHINE)
    assert (found.decision, found.readings, found.differences) == (None, None, ())
    assert found.remarks == ("its candles have been forgotten: nothing to replay it on",)


async def test_a_ledger_names_its_decisions_in_order_and_each_windows_market(ledger: Ledger) -> None:
    signals = Signals(ledger)
    seen = [walk_candles(symbol) for symbol in ("ETH-USD", "BTC-USD")]
    references = await signals.store_snapshots(seen, identity="synthetic-7", at=NOW)
    (other,) = await signals.store_snapshots(seen[:1], identity="coinbase", at=NOW)
    stored = [
        await store(ledger, decision(number), snapshots=snapshots)
        for number, snapshots in enumerate([references, (other,), ()])
    ]
    named = [(each.seq, each.signal.id, each.signal.symbol) for each in stored]
    assert await signals.names(0, 500) == named
    assert await signals.names(named[0][0], 1) == named[1:2]
    assert await signals.names(named[-1][0], 500) == []
    found = [(await signals.whole(signal_id)).identities for _, signal_id, _ in named]
    assert found == [("synthetic-7", "synthetic-7"), ("coinbase",), ()]


def test_closed_trades_that_a_theory_was_told_are_kept_and_told_again(wholes: list[WholeSignal], shelf: Shelf) -> None:
    told = TierRecord(30, 12, 0.4, 45.0, 12.5)
    whole = told_of(wholes[0], told)
    assert [reading.problem for reading in readings_named(whole, "bayesian_win_rate")] == [None]
    (found,) = replay([whole], shelf, MACHINE)
    assert (found.decision, found.readings, found.differences) == (True, True, ())
    (other,) = replay([altered(whole, "case", '"wins":30', '"wins":31')], shelf, MACHINE)
    assert other.differences
    assert all(difference.startswith("bayesian_win_rate") for difference in other.differences)


def test_a_case_from_before_closed_trades_were_kept_is_read_as_it_was_written(
    wholes: list[WholeSignal], shelf: Shelf
) -> None:
    whole = told_of(wholes[0], None)
    assert '"version":1' in whole.texts["case"]
    assert "record" not in json.loads(whole.texts["case"])
    (found,) = replay([whole], shelf, MACHINE)
    assert (found.decision, found.readings, found.differences) == (True, True, ())


def told_of(whole: WholeSignal, record: TierRecord | None) -> WholeSignal:
    """The decision as it would have been made with these closed trades."""
    case, mode = read_case(whole.texts["case"])
    windows = stack_windows(whole.candles, 500, origins=whole.identities)
    if record is not None:
        windows = replace(windows, record=to_columns([record]))
    (said,) = analyzers.evaluate(find("bayesian_win_rate"), windows)
    readings = tuple(said if each.theory == said.theory else each for each in case.analysis.readings)
    made = replace(case, analysis=replace(case.analysis, readings=readings), record=record)
    votes = decide(made).votes
    coverage = decide(made).coverage
    retold = replace(whole, texts={**whole.texts, "case": write_case(made, mode)})
    return with_signal(retold, votes=votes, coverage=coverage)


def readings_named(whole: WholeSignal, theory: str) -> list[Reading]:
    case, _ = read_case(whole.texts["case"])
    return [reading for reading in case.analysis.readings if reading.theory == theory]
