"""A JSON body is read strictly, and a hostile one costs neither time nor memory."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.body import MAX_VIOLATIONS, duplicate_key, parse_json
from core.analysis import AnalyzeRequest
from core.errors import CrpbotError

KEYS = st.text('ab"\\{}:é\n', max_size=3)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=3).map(tuple),
    max_leaves=12,
)


def write(tree: Any, *, ascii_only: bool) -> str:
    """JSON of a tree whose objects are tuples of pairs, so that a key can stand twice."""
    if isinstance(tree, tuple):
        pairs = (f"{json.dumps(k, ensure_ascii=ascii_only)} : {write(v, ascii_only=ascii_only)}" for k, v in tree)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(write(item, ascii_only=ascii_only) for item in tree) + "]"
    return json.dumps(tree, ensure_ascii=ascii_only)


def has_duplicate(tree: Any) -> bool:
    """The same question asked of the tree."""
    if isinstance(tree, tuple):
        keys = [key for key, _ in tree]
        return len(set(keys)) < len(keys) or any(has_duplicate(value) for _, value in tree)
    return isinstance(tree, list) and any(map(has_duplicate, tree))


@given(TREES, st.booleans())
def test_a_key_that_stands_twice_is_found_and_no_other(tree: Any, ascii_only: bool) -> None:
    body = write(tree, ascii_only=ascii_only).encode()
    assert (duplicate_key(body) is not None) == has_duplicate(tree)


def column(item: str, count: int) -> bytes:
    """A body with candles of one long column."""
    rest = '"open_times_ms":[],"high":[],"low":[],"close":[],"volume":[]'
    items = ",".join([item] * count)
    return f'{{"candles":[{{"symbol":"BTC-USD","interval":"5m",{rest},"open":[{items}]}}]}}'.encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(column("true", 800_000), "candles.0.open.0: ", id="wrong items"),
        pytest.param(b"{" + b",".join(b'"%d":1' % n for n in range(300_000)) + b"}", "300,000 values", id="wrong keys"),
        pytest.param(b"{" * 4_000_000, "no JSON", id="braces"),
        pytest.param(b"{}" * 2_000_000, "no JSON", id="pairs of braces"),
        pytest.param(b"[" * 4_000_000, "no JSON", id="brackets"),
        pytest.param(b'{"' + b"a" * 4_000_000 + b'":1}', "aaaa: Unexpected", id="long key"),
        pytest.param(b'{"symbol":' + b"9" * 4_000_000 + b"}", "no JSON", id="long number"),
        pytest.param(b'{"theories":[' + b'"\\n",' * 700_000 + b"1]}", "theories.700000: ", id="escapes"),
    ],
)
def test_a_hostile_body_is_refused_quickly_and_in_few_words(body: bytes, words: str) -> None:
    started = time.process_time()
    with pytest.raises(CrpbotError, match=words) as caught:
        parse_json(body, AnalyzeRequest)
    assert time.process_time() - started < 0.5  # 4.1 s and 6.3 s before there were limits; 0.1 s with them
    assert len(caught.value.detail) < 500
    assert all(len(violation.field) < 500 for violation in caught.value.violations)


def test_many_mistakes_are_counted_and_the_first_are_listed() -> None:
    body = b"{" + b",".join(b'"key%d":1' % number for number in range(50)) + b"}"
    with pytest.raises(CrpbotError, match=r"key0: .* \(and 49 more\)") as caught:
        parse_json(body, AnalyzeRequest)
    assert len(caught.value.violations) == MAX_VIOLATIONS
