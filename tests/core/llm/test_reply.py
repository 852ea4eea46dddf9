"""A reply is one strict JSON object with one of three words and bounded numbers, or it is refused, never guessed at."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.llm.prompt import EXAMPLE
from core.llm.reply import REASONING_CHARACTERS, clean, parse_reply
from core.signal import Refusal, Synthesis, Verdict
from core.trade import Direction, Levels

GOOD = {
    "signal": "BUY",
    "confidence": 0.7,
    "reasoning": "Hurst and Kalman agree.",
    "entry": 50000,
    "stop_loss": 49850.5,
    "take_profit": 50300,
}


def reply(**changes: object) -> str:
    """A good reply with some fields changed."""
    return json.dumps(GOOD | changes)


def reason_of(text: str) -> str:
    """Why a reply was refused."""
    found = parse_reply(text)
    assert isinstance(found, Refusal), found
    return found.reason


def test_a_good_reply_becomes_a_verdict() -> None:
    levels = Levels(Decimal(50000), Decimal("49850.5"), Decimal(50300))
    text = reply()
    assert parse_reply(text) == Verdict(Direction.BUY, 0.7, "Hurst and Kalman agree.", levels, Synthesis.LLM, raw=text)


def test_the_example_in_the_prompt_is_a_good_reply() -> None:
    found = parse_reply(EXAMPLE)
    assert isinstance(found, Verdict)
    assert (found.direction, found.levels) == (Direction.HOLD, None)


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}\n```", " \n```JSON\r\n{}\n```\n", "  {}\n"])
def test_one_fence_and_blanks_around_the_object_are_taken_off(fence: str) -> None:
    assert isinstance(parse_reply(fence.replace("{}", reply())), Verdict)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\n ",
        "BUY",
        "I would BUY here with confidence 0.9.",
        "Sure! " + reply(),
        reply() + " Good luck!",
        reply() + reply(),
        "```json\n```json\n" + reply() + "\n```\n```",
        "[" + reply() + "]",
        reply()[:-20],
        reply().replace("0.7", "NaN"),
        reply().replace("0.7", "Infinity"),
        reply().replace("0.7", "-Infinity"),
        reply().replace('"signal": "BUY"', '"signal": "HOLD", "signal": "BUY"'),
        reply().replace("0.7", "0." + "7" * 50),
        reply().replace("0.7", "7" * 5_000),
        "<html><body>502 Bad Gateway</body></html>",
        "\ufeff" + reply(),
        '{"signal": "BUY", "x": ' + "[" * 500 + "]" * 500 + "}",
        "[" * 16_000,
        reply(reasoning="a" * 20_000),
        reply().replace("{", '{"x": {"y": {"y": {"y": {"y": {"y": {"y": {"y": {"y": {}}}}}}}}}, ', 1),
    ],
)
def test_what_is_not_one_json_object_is_refused(text: str) -> None:
    assert reason_of(text) == "reply_malformed"


@pytest.mark.parametrize("word", ["buy", "STRONG BUY", "LONG", "", "BUY ", "ВUY", None, 1, True, ["BUY"], {"a": "BUY"}])
def test_only_the_three_words_are_a_signal(word: object) -> None:
    assert reason_of(reply(signal=word)) == "reply_signal"


@pytest.mark.parametrize("value", [7.8, -0.4, 78, 1.0001, "78%", "0.7", True, False, None, [0.7], {}])
def test_a_confidence_is_a_number_from_0_to_1(value: object) -> None:
    assert reason_of(reply(confidence=value)) == "reply_confidence"


@pytest.mark.parametrize("spelling", ["1e999", "-1e999", "1e99999999999999999999"])
def test_a_confidence_beyond_all_numbers_is_refused(spelling: str) -> None:
    assert reason_of(reply().replace("0.7", spelling)) in {"reply_confidence", "reply_malformed"}


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, 0.333])
def test_both_ends_of_the_confidence_are_allowed(value: float) -> None:
    found = parse_reply(reply(confidence=value))
    assert isinstance(found, Verdict)
    assert found.confidence == value


@pytest.mark.parametrize("value", [None, "", " \n ", 3, ["because"], "\x00\x01"])
def test_a_reasoning_is_a_sentence(value: object) -> None:
    assert reason_of(reply(reasoning=value)) == "reply_reasoning"


@pytest.mark.parametrize("field", ["signal", "confidence", "reasoning"])
def test_a_field_that_is_missing_is_refused(field: str) -> None:
    text = json.dumps({name: value for name, value in GOOD.items() if name != field})
    assert reason_of(text) == f"reply_{field}"


def test_levels_come_all_or_not_at_all() -> None:
    none = parse_reply(reply(entry=None, stop_loss=None, take_profit=None))
    assert isinstance(none, Verdict)
    assert none.levels is None
    assert reason_of(reply(stop_loss=None)) == "reply_levels"
    assert reason_of(reply(entry=None, stop_loss=None)) == "reply_levels"


@pytest.mark.parametrize("value", [0, -1, "50000", True, 1e13, 1e-13, [50000], {}])
def test_a_level_is_a_positive_price_of_this_world(value: object) -> None:
    assert reason_of(reply(entry=value)) == "reply_levels"


def test_a_hold_has_no_levels_but_they_must_be_numbers_all_the_same() -> None:
    found = parse_reply(reply(signal="HOLD"))
    assert isinstance(found, Verdict)
    assert found.levels is None
    assert reason_of(reply(signal="HOLD", entry="soon")) == "reply_levels"


def test_other_fields_are_ignored() -> None:
    orders = {"kill_switch": False, "daily_budget": 1e9, "quantity": 1000, "tool_calls": [{"name": "trade"}]}
    plain = parse_reply(reply())
    assert isinstance(plain, Verdict)
    assert parse_reply(reply(**orders)) == replace(plain, raw=reply(**orders))


def test_the_reasoning_is_one_short_visible_line() -> None:
    found = parse_reply(reply(reasoning="up\x00\x1b[31m\nand \u202eup\ud800 " + "very " * 1_000))
    assert isinstance(found, Verdict)
    assert found.reasoning.startswith("up[31m and up very very")
    assert len(found.reasoning) == REASONING_CHARACTERS
    assert found.reasoning.isprintable()
    found.reasoning.encode()


def test_a_refusal_says_what_was_found_and_what_is_needed() -> None:
    found = parse_reply(reply(signal="ALL IN\x07" * 50))
    assert isinstance(found, Refusal)
    assert "exactly BUY, SELL or HOLD" in found.detail
    assert len(found.detail) < 200
    assert found.detail.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.text() | st.builds(lambda prefix, suffix: prefix + reply() + suffix, st.text(), st.text()))
def test_no_text_raises(text: str) -> None:
    found = parse_reply(text)
    if isinstance(found, Verdict):
        assert text.strip(" \t\r\n") == reply()


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, JSON)), st.dictionaries(st.text(), JSON, max_size=2))
def test_no_fields_raise_and_a_verdict_is_always_within_bounds(
    fields: dict[str, object], more: dict[str, object]
) -> None:
    found = parse_reply(json.dumps(more | GOOD | fields))
    if isinstance(found, Verdict):
        assert 0.0 <= found.confidence <= 1.0
        assert found.reasoning == clean(found.reasoning) != ""
        assert found.direction is not Direction.HOLD or found.levels is None
        if found.levels is not None:
            assert all(0 < price <= 10**12 for price in (found.levels.entry, found.levels.stop_loss))


@settings(deadline=None)
@given(st.integers(0, len(reply()) - 1), st.characters(codec="utf-8"))
def test_one_wrong_character_never_raises_and_never_makes_up_a_signal(place: int, character: str) -> None:
    text = reply()[:place] + character + reply()[place + 1 :]
    found = parse_reply(text)
    if isinstance(found, Verdict):
        assert found.direction is Direction.BUY
