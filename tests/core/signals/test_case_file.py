"""A case that was kept decides the same again, in every way a case can end."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import write_canonical
from core.deciding.confidence import Threshold
from core.deciding.decision import Case, Reply, decide
from core.deciding.ensemble_decision import EnsembleCase
from core.deciding.levels import Yardstick
from core.deciding.strategies import AnyCase, decide_case
from core.deciding.synthesis import NEVER_VOTE, Rule
from core.deciding.vote import Side, VoteCase
from core.ensemble import Forecast, Line, Outlook
from core.llm.reply import parse_reply
from core.models.weighting import KINDS, Weights
from core.signal import Mode, Refusal, Strategy, Unasked, Variant
from core.signals.case_file import VERSION, read_case, write_case
from core.trade import Direction
from tests.core.cases import AS_OF, GOOD_BUY, NO_KEY, OPEN, YARDSTICK, a_case, a_verdict, readings_of
from tests.core.ensemble_cases import GROUND, STRAIGHT, a_vote_case, an_ensemble_case, an_outlook, models, theories

REPLIES: tuple[Reply, ...] = (
    NO_KEY,
    Unasked("budget", "the day's budget is spent"),
    Refusal("reply_signal", "signal is 'MOON'"),
    a_verdict("BUY", 0.8),
    a_verdict("SELL", 0.1 + 0.2),
    a_verdict("HOLD", 0.5),
    a_verdict("BUY", 0.7, GOOD_BUY),
)
VOTERS = sorted({reading.theory for reading in readings_of()} - NEVER_VOTE)

votes = st.dictionaries(st.sampled_from(VOTERS), st.floats(-1.0, 1.0), max_size=6)
rules = st.builds(
    Rule, st.dictionaries(st.sampled_from(VOTERS), st.floats(-3.0, 3.0), max_size=4), st.floats(0.0, 3.0), st.text()
)
thresholds = st.builds(Threshold, st.floats(0.5, 0.99), st.booleans(), st.text())
yardsticks = st.builds(
    Yardstick,
    st.decimals("0.0001", "200000", places=6, allow_nan=False),
    st.decimals("0", "1000", places=8, allow_nan=False),
)
odds = st.floats(-5.0, 5.0)
by_kind = {
    kind: st.builds(
        Forecast,
        st.just(kind),
        st.sampled_from(["", f"{kind}-1a2b3c4d"]),
        st.none() | st.floats(0.0, 1.0),
        st.none() | st.floats(0.0, 1.0),
        st.none() | st.text(),
    )
    for kind in KINDS
}
lines = st.builds(Line, st.lists(st.sampled_from(KINDS), max_size=3).map(tuple), st.floats(0.0, 5.0), odds)
outlooks = st.builds(
    Outlook,
    st.none() | st.just(AS_OF),
    st.integers(1, 60),
    st.tuples(*by_kind.values()),
    st.builds(Weights, *[st.floats(0.01, 1.0)] * 3),
    st.none() | lines,
    st.lists(by_kind["ppo"], max_size=2).map(tuple),
    st.lists(lines, max_size=2).map(tuple),
)
sides = st.builds(
    Side, st.sampled_from(Strategy), st.sampled_from(Direction), st.floats(0.0, 1.0), st.text(), st.none() | st.text()
)


@given(
    votes=votes,
    rule=rules,
    threshold=thresholds,
    yardstick=yardsticks,
    reply=st.sampled_from(REPLIES),
    variant=st.sampled_from(Variant),
    mode=st.sampled_from(Mode),
    missing=st.sets(st.sampled_from(VOTERS), max_size=2),
)
def test_a_kept_case_is_the_same_case_and_decides_the_same(
    *,
    votes: dict[str, float],
    rule: Rule,
    threshold: Threshold,
    yardstick: Yardstick,
    reply: Reply,
    variant: Variant,
    mode: Mode,
    missing: set[str],
) -> None:
    case = a_case(
        readings_of(silent=tuple(missing), **votes),
        reply=reply,
        variant=variant,
        threshold=threshold,
        yardstick=yardstick,
        rule=rule,
        missing=tuple(sorted(missing)),
    )
    text = write_case(case, mode)
    again, kept_mode = read_case(text)
    assert (again, kept_mode) == (case, mode)
    assert write_case(again, mode) == text
    assert write_canonical(decide(again)) == write_canonical(decide(case))


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
def test_of_verdict_refusal_and_unasked_just_one_is_kept(reply: Reply) -> None:
    content = json.loads(write_case(a_case(readings_of(), reply=reply), Mode.CONSERVATIVE))
    kept = [name for name in ("verdict", "refusal", "unasked") if content[name] is not None]
    assert kept == [type(reply).__name__.lower()]
    assert content["version"] == VERSION


@given(
    case=st.builds(EnsembleCase, st.just(GROUND), outlooks, thresholds, yardsticks)
    | st.builds(VoteCase, st.just(GROUND), st.lists(sides, max_size=3).map(tuple), thresholds, yardsticks),
    mode=st.sampled_from(Mode),
)
def test_a_kept_case_of_the_models_or_of_both_sides_is_the_same_case_and_decides_the_same(
    case: AnyCase, mode: Mode
) -> None:
    text = write_case(case, mode)
    again, kept_mode = read_case(text)
    assert (again, kept_mode) == (case, mode)
    assert write_case(again, mode) == text
    assert write_canonical(decide_case(again)) == write_canonical(decide_case(case))


def test_each_text_says_whose_case_it_is_and_one_that_does_not_is_of_the_theories() -> None:
    cases = (an_ensemble_case(an_outlook(0.6, None, 0.7)), a_vote_case(theories(), models()), a_case(readings_of()))
    texts = [json.loads(write_case(case, Mode.CONSERVATIVE)) for case in cases]
    assert [text.get("strategy") for text in texts] == ["v6", "vote", None]
    for case, text in zip(cases, texts, strict=True):
        again, _ = read_case(json.dumps(text))
        assert type(again) is type(case)


def test_words_that_look_like_another_kind_of_case_make_none() -> None:
    sly = a_case(readings_of(), reply=Refusal("reply_signal", '"strategy":"v6"'))
    again, _ = read_case(write_case(sly, Mode.CONSERVATIVE))
    assert again == sly


@pytest.mark.parametrize(
    "changed",
    [
        an_ensemble_case(an_outlook(0.6, 0.7, 0.800001)),
        an_ensemble_case(an_outlook(0.6, 0.7, None)),
        an_ensemble_case(an_outlook(0.6, 0.7, 0.8, line=STRAIGHT)),
        an_ensemble_case(an_outlook(0.6, 0.7, 0.8, spare_lines=(STRAIGHT,))),
        an_ensemble_case(an_outlook(0.6, 0.7, 0.8, weights=Weights(0.4, 0.35, 0.25))),
        an_ensemble_case(an_outlook(0.6, 0.7, 0.8), threshold=Threshold(0.66, True, "other")),
        an_ensemble_case(an_outlook(0.6, 0.7, 0.8), yardstick=Yardstick(YARDSTICK.close, YARDSTICK.atr * 2)),
    ],
    ids=["a chance", "a silence", "a line", "a spare line", "weights", "threshold", "yardstick"],
)
def test_every_part_of_a_case_of_the_models_shows_in_its_text(changed: EnsembleCase) -> None:
    plain = an_ensemble_case(an_outlook(0.6, 0.7, 0.8))
    assert plain.threshold == OPEN
    assert write_case(changed, Mode.CONSERVATIVE) != write_case(plain, Mode.CONSERVATIVE)


def test_a_reply_read_from_text_is_kept_with_the_text_and_its_very_digits() -> None:
    said = (
        '{"signal": "BUY", "confidence": 0.70, "reasoning": "µ \\ud800 up", "entry": 50000.10, '
        '"stop_loss": 49850, "take_profit": 5.0225e4}'
    )
    verdict = parse_reply(said)
    case = a_case(readings_of(), reply=verdict, variant=Variant.V7_DEEPSEEK_ONLY)
    again, _ = read_case(write_case(case, Mode.AGGRESSIVE))
    assert again.reply == verdict
    assert write_case(again, Mode.AGGRESSIVE) == write_case(case, Mode.AGGRESSIVE)
    assert str(again.reply.levels.entry) == "50000.10"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rule", Rule({"kalman_filter": 0.5}, 1.0, "other")),
        ("threshold", Threshold(0.66, True, "the profile's 0.65")),
        ("yardstick", Yardstick(Decimal("50000.0"), Decimal("100"))),
        ("variant", Variant.V7_DEEPSEEK_ONLY),
        ("reply", Refusal("llm_timeout", "late")),
    ],
)
def test_every_part_of_a_case_shows_in_its_text(name: str, value: object) -> None:
    plain = a_case(readings_of())
    changed = Case(**{**{each: getattr(plain, each) for each in Case.__slots__}, name: value})  # type: ignore[arg-type]
    assert write_case(changed, Mode.CONSERVATIVE) != write_case(plain, Mode.CONSERVATIVE)
    assert write_case(plain, Mode.AGGRESSIVE) != write_case(plain, Mode.CONSERVATIVE)
