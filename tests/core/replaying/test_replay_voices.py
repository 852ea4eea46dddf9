"""What the models decided, and both sides by vote, comes out the same again; what was changed since is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.adapters.ledger.ledger import Ledger
from core.analysis import Reading
from core.deciding.consultation import Consultation, Sight, consult_both, consult_models, consulted
from core.deciding.decision import Case
from core.deciding.levels import chance_of_stop_first, measure
from core.deciding.synthesis import EQUAL
from core.ensemble import Line, Outlook
from core.fitted import Shelf
from core.market import Candles, instant, milliseconds, stack_windows
from core.replaying.decision import Machine, replay_decision
from core.replaying.readings import Evaluate, replay
from core.risk.account import Quote
from core.risk.desk import Bench
from core.risk.limits import Limits
from core.risk.pack import find_pack
from core.signal import Mode, RuntimeMode, Strategy, Variant, Version
from core.signals.case_file import read_case
from core.signals.draft import Frame, draft, settle
from core.signals.ports import WholeSignal
from core.signals.reader import SignalReader
from core.signals.requests import ExplainSignalRequest, GenerateSignalsRequest
from core.signals.store import SnapshotReference, StoredSignal
from core.trade import Book, Direction
from tests.core.books import NOON as BOOKS_NOON
from tests.core.cases import NO_KEY, OPEN
from tests.core.ensemble_cases import STRAIGHT, an_outlook, nobody_promoted
from tests.core.risk_facts import NOON, facts, moment
from tests.core.signal_cases import HABITS, STEP, SURE, Room, a_study, hourly
from tests.fakes import walk_candles

HERE = Machine("1", "n1")
FRAME = Frame(
    account="story",
    slot=NOON,
    key="call-1",
    mode=Mode.AGGRESSIVE,
    runtime_mode=RuntimeMode.DRYRUN,
    interval="5m",
    window=500,
    source="fake",
    synthetic=True,
    versions=(Version("code", HERE.code), Version("numerics", HERE.numerics)),
    actor="scheduler",
)
AT_MS = milliseconds(NOON)
MINUTES = walk_candles("BTC-USD", "1m", 150, now_ms=AT_MS)
SURE_MODELS = an_outlook(0.9, 0.8, 0.7, line=STRAIGHT)
UNCALIBRATED = an_outlook(0.9, None, 0.8)
SPLIT = an_outlook(0.2, 0.2, 0.2, line=STRAIGHT)
SILENT = an_outlook(None, None, None)


def seen_at(outlook: Outlook) -> Outlook:
    """The outlook as of the last of the minutes."""
    return replace(outlook, as_of=instant(MINUTES.as_of))


def consultations(outlook: Outlook, vote: float = SURE) -> dict[Strategy, Consultation]:
    """What each strategy makes of one market."""
    study = a_study(vote=vote, at_ms=AT_MS)
    yardstick = measure(study.candles)
    sight = Sight(study, Mode.AGGRESSIVE, 0.55, yardstick, {})
    case = Case(study.analysis, EQUAL, NO_KEY, Variant.V7_FULL_MATH, OPEN, yardstick)
    theories = replace(consulted(case, sight), versions=(Version("rule", EQUAL.label),))
    models = consult_models(sight, seen_at(outlook))
    return {Strategy.V6: models, Strategy.VOTE: consult_both(sight, theories, models)}


def decided(strategy: Strategy, outlook: Outlook, *, vote: float = SURE, book: Book = Book.PRIMARY) -> WholeSignal:
    """A decision as the ledger gives it back, made and judged by the code that serves."""
    consultation = replace(consultations(outlook, vote)[strategy], book=book)
    study, decision = a_study(vote=vote, at_ms=AT_MS), consultation.decision
    chance = None
    if decision.levels is not None:
        window = stack_windows([study.candles], len(study.candles))
        chance = chance_of_stop_first(window, decision.direction, decision.levels)
    drafted = draft(
        study,
        consultation,
        replace(FRAME, strategy=strategy),
        at=NOON,
        stop_first=chance,
        references=(),
        timings_ms={"study": 1.0},
    )
    close = consultation.case.yardstick.close
    bench = Bench(
        find_pack("ftmo-2step-challenge"), Limits(), {"BTC-USD": Quote("BTC-USD", close, close, AT_MS)}, lambda _: STEP
    )
    made = settle(drafted, bench, facts(), moment()).signal
    stored = StoredSignal(1, made.signal, NOON, made.key, ())
    return WholeSignal(stored, dict(made.texts), (study.candles, MINUTES), ("fake", "fake"))


def altered(whole: WholeSignal, before: str, after: str) -> WholeSignal:
    """The decision with its case changed in one place, as if nothing guarded it."""
    assert before in whole.texts["case"]
    return replace(whole, texts={**whole.texts, "case": whole.texts["case"].replace(before, after, 1)})


def with_signal(whole: WholeSignal, **changes: object) -> WholeSignal:
    """The decision with its row changed, as if nothing guarded it."""
    signal = replace(whole.stored.signal, **changes)  # type: ignore[arg-type]
    return replace(whole, stored=replace(whole.stored, signal=signal))


@pytest.mark.parametrize("book", list(Book))
@pytest.mark.parametrize("outlook", [SURE_MODELS, UNCALIBRATED, SPLIT, SILENT, nobody_promoted()])
@pytest.mark.parametrize("strategy", [Strategy.V6, Strategy.VOTE])
def test_every_decision_of_models_and_sides_comes_out_the_same(
    strategy: Strategy, outlook: Outlook, book: Book
) -> None:
    whole = decided(strategy, outlook, book=book)
    assert whole.stored.signal.strategy is strategy
    (found,) = replay([whole], Shelf(), HERE)
    assert (found.decision, found.differences, found.remarks) == (True, (), ())
    assert (found.prompt, found.readings) == (None, None), "no language model was asked, and no theory decided"


def test_the_cases_of_these_tests_end_in_every_way() -> None:
    ends = {
        decided(strategy, outlook).stored.signal.direction
        for strategy in (Strategy.V6, Strategy.VOTE)
        for outlook in (SURE_MODELS, SPLIT, SILENT)
    }
    assert ends == set(Direction)
    assert decided(Strategy.V6, SILENT).stored.signal.degraded
    assert decided(Strategy.V6, SURE_MODELS).stored.signal.ensemble is not None
    assert decided(Strategy.VOTE, SURE_MODELS).stored.signal.ensemble is None


@pytest.mark.parametrize("strategy", [Strategy.V6, Strategy.VOTE])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"confidence": 0.123}, "confidence: "),
        ({"strategy": Strategy.V7}, "strategy: "),
        ({"coverage": 0.123}, "coverage: "),
        ({"votes": ()}, "votes: "),
        ({"synthesis_reason": "so"}, "synthesis_reason: "),
        ({"take_profit": None}, "take_profit: "),
        ({"stop_first": 0.0}, "stop_first: "),
        ({"direction": Direction.HOLD}, "direction: HOLD is stored, "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_row_that_the_case_does_not_give_is_found(strategy: Strategy, change: dict[str, object], named: str) -> None:
    whole = decided(strategy, SURE_MODELS)
    assert whole.stored.signal.direction is Direction.BUY
    found = replay_decision(with_signal(whole, **change), HERE)
    assert found.decision is False
    assert any(words.startswith(named) for words in found.differences)


def test_an_ensemble_or_a_version_that_the_case_does_not_give_is_found() -> None:
    whole = decided(Strategy.V6, SURE_MODELS)
    ensemble = whole.stored.signal.ensemble
    assert ensemble is not None
    for change, named in (
        ({"ensemble": replace(ensemble, raw=0.5)}, "ensemble: "),
        ({"ensemble": None}, "ensemble: "),
        ({"versions": (*FRAME.versions, Version("lstm", "lstm-00000000"))}, "versions: "),
    ):
        found = replay_decision(with_signal(whole, **change), HERE)
        assert found.differences[0].startswith(named)


@pytest.mark.parametrize(
    ("strategy", "before", "after"),
    [
        (Strategy.V6, '"probability":0.9', '"probability":0.91'),
        (Strategy.V6, '"lstm":0.35', '"lstm":0.36'),
        (Strategy.V6, '"slope":1.0', '"slope":1.1'),
        (Strategy.VOTE, '"leaning":"BUY"', '"leaning":"SELL"'),
        (Strategy.VOTE, '"confidence":0.8', '"confidence":0.7'),
        (Strategy.VOTE, '"problem":null', '"problem":"gone"'),
    ],
)
def test_a_number_that_was_changed_in_the_case_is_found_in_the_decision(
    strategy: Strategy, before: str, after: str
) -> None:
    found = replay_decision(altered(decided(strategy, SURE_MODELS), before, after), HERE)
    assert found.decision is False
    assert any(words.split(":")[0] in {"confidence", "votes", "ensemble"} for words in found.differences)


def test_a_case_of_another_spelling_is_found() -> None:
    found = replay_decision(altered(decided(Strategy.V6, SURE_MODELS), '"version":1', '"version":2'), HERE)
    assert found.differences[0].startswith("case: differs from character ")


def test_a_case_turned_into_one_of_another_kind_is_found_and_does_not_stop_the_others() -> None:
    whole = decided(Strategy.V6, SURE_MODELS)
    first, second = replay([altered(whole, '"strategy":"v6"', '"strategy":"vote"'), whole], Shelf(), HERE)
    assert first.decision is False
    assert first.differences[0].startswith("case: cannot be read or decided on (TypeError")
    assert (second.decision, second.differences) == (True, ())


@pytest.mark.parametrize("kind", ["reply", "prompt"])
def test_a_text_of_a_language_model_beside_a_decision_that_asked_none_is_found(kind: str) -> None:
    whole = decided(Strategy.V6, SURE_MODELS)
    found = replay_decision(replace(whole, texts={**whole.texts, kind: "\0"}), HERE)
    assert found.decision is False
    assert f"{kind}: one is stored, and no language model was asked" in found.differences


def test_other_candles_or_minutes_than_those_that_were_read_are_found() -> None:
    whole = decided(Strategy.V6, SURE_MODELS)
    window, minutes = whole.candles
    other = a_study("ETH-USD", at_ms=AT_MS).candles
    assert any(words.startswith("candles: ") for words in told(whole, other, minutes))
    late = replace(minutes, open_times=minutes.open_times + 60_000)
    assert [words for words in told(whole, window, late) if words.startswith("minutes: ")]
    assert told(whole, window) == (), "decisions without minutes are decisions too"


def test_where_the_window_or_the_minutes_have_been_forgotten_nothing_is_compared() -> None:
    whole = decided(Strategy.V6, SURE_MODELS)
    references = (SnapshotReference(1, "a" * 64), SnapshotReference(2, "b" * 64))
    stored = replace(whole.stored, snapshots=references)
    for candles in ((), whole.candles[1:], whole.candles[:1]):
        (found,) = replay([replace(whole, stored=stored, candles=candles)], Shelf(), HERE)
        assert (found.decision, found.readings, found.differences) == (None, None, ())
        assert found.remarks == ("its candles have been forgotten: nothing to replay it on",)


def told(whole: WholeSignal, *candles: Candles) -> tuple[str, ...]:
    """How the decision differs on these candles."""
    return replay_decision(replace(whole, candles=candles), HERE).differences


def test_a_win_rate_that_was_known_then_is_no_difference() -> None:
    whole = decided(Strategy.V6, SURE_MODELS)
    assert replay_decision(with_signal(whole, calibrated_confidence=0.61), HERE).differences == ()


def test_the_case_of_a_vote_keeps_both_sides_and_that_of_the_models_all_they_said() -> None:
    vote = json.loads(decided(Strategy.VOTE, UNCALIBRATED).texts["case"])
    assert [(each["strategy"], each["leaning"]) for each in vote["sides"]] == [("v7", "BUY"), ("v6", "BUY")]
    assert vote["analysis"]["readings"] == []
    spare = (Line(("lstm",), 1.0, 0.0),)
    case, _ = read_case(decided(Strategy.V6, replace(UNCALIBRATED, spare_lines=spare)).texts["case"])
    assert case.outlook == seen_at(replace(UNCALIBRATED, spare_lines=spare))  # type: ignore[union-attr]


@pytest.mark.parametrize("primary", list(Strategy))
async def test_what_the_ledger_gives_back_comes_out_the_same_and_is_explained(
    ledger: Ledger, primary: Strategy
) -> None:
    read = replace(SURE_MODELS, as_of=BOOKS_NOON)
    split = replace(SPLIT, as_of=BOOKS_NOON)
    outlooks = {
        "BTC-USD": read,
        "ETH-USD": split,
        "SOL-USD": replace(UNCALIBRATED, as_of=BOOKS_NOON),
        "XRP-USD": SILENT,
    }
    room = await Room(ledger, outlooks=outlooks, habits=replace(HABITS, strategy=primary), limits=hourly(9)).open()
    for symbol in outlooks:
        await room.desk.generate(GenerateSignalsRequest(symbol=symbol, slot=BOOKS_NOON), timeout_seconds=60.0)
    names = await room.signals.names(0, 100)
    wholes = [await room.signals.whole(name) for _, name, _ in names]
    assert len(wholes) == len(outlooks) * len(Strategy)
    found = replay(wholes, Shelf(), Machine("1", ""), evaluate=as_kept(wholes))
    assert [(each.decision, each.differences) for each in found] == [(True, ())] * len(wholes)
    reader = SignalReader(room.signals, room.clock)
    for whole in wholes:
        signal = whole.stored.signal
        told = await reader.explain(ExplainSignalRequest(signal.id))
        assert told.direction is signal.direction
        assert signal.synthesis_reason in told.sentences[0]


def as_kept(wholes: list[WholeSignal]) -> Evaluate:
    """The theories say what they said: their numbers were made by hand."""
    said: dict[tuple[str, str], Reading] = {}
    for whole in wholes:
        case, _ = read_case(whole.texts["case"])
        said.update({(each.theory, case.analysis.symbol): each for each in case.analysis.readings})
    return lambda analyzer, windows, _: [said[analyzer.name, symbol] for symbol in windows.symbols]
