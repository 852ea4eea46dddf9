"""A case that was kept decides the same again, in every way a case can end."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.canonical import write_canonical
from core.case_file import VERSION, read_case, write_case
from core.confidence import Threshold
from core.decision import Case, Reply, decide
from core.levels import Yardstick
from core.reply import parse_reply
from core.signal import Mode, Refusal, Unasked, Variant
from core.synthesis import NEVER_VOTE, Rule
from tests.core.cases import GOOD_BUY, NO_KEY, a_case, a_verdict, readings_of

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
