"""Several coins are learned from on the span that all of them have; whoever makes it short is named."""

import logging

import pytest

from core.errors import CrpbotError
from tests.training.made_histories import DAY, make_history
from training.history import build_datasets, trainable

WINDOW = 60
LONG, OTHER = make_history("BTC-USD", (0, 20 * DAY)), make_history("ETH-USD", (0, 20 * DAY))


def test_a_coin_that_gives_no_data_set_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    short = make_history("SOL-USD", (0, DAY))
    with caplog.at_level(logging.WARNING):
        assert trainable([LONG, short, OTHER], WINDOW) == (LONG, OTHER)
    (told,) = [each.message for each in caplog.records]
    assert told.startswith("SOL-USD is left out, the other coins are learned from without it: ")
    assert "SOL-USD has 1440 candles of 1m" in told
    with pytest.raises(CrpbotError, match="SOL-USD has 1440 candles of 1m"):
        trainable([short], WINDOW)


def test_a_coin_that_shortens_the_others_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    short = make_history("SOL-USD", (12 * DAY, 6 * DAY))
    with caplog.at_level(logging.WARNING):
        alone = build_datasets([LONG], WINDOW)
        build_datasets([LONG, OTHER], WINDOW)
        assert caplog.records == [], "the same span, but for minutes"
        found = build_datasets([LONG, short, OTHER], WINDOW)
    (told,) = [each.message for each in caplog.records]
    assert "3 coins are learned from together, 30 % of what BTC-USD has alone: SOL-USD has only 2025-" in told
    assert told.endswith("fetch more of it, or leave its files out")
    assert {each.borders for each in found} == {found[0].borders}
    assert found[0].borders[0] > alone[0].borders[0]


@pytest.mark.parametrize("common", [-DAY, DAY])
def test_coins_that_have_too_little_in_common_are_refused_by_name(common: int) -> None:
    early, late = make_history("BTC-USD", (0, 6 * DAY)), make_history("ADA-USD", (6 * DAY - common, 6 * DAY))
    assert trainable([early, late], WINDOW) == (early, late)
    with pytest.raises(CrpbotError) as caught:
        build_datasets([early, late], WINDOW)
    assert "ADA-USD begins last, " in caught.value.detail
    assert "and BTC-USD ends first, " in caught.value.detail
    assert caught.value.detail.endswith("fetch more of them, or leave one's files out")
