"""What votes were worth is learned from the past alone, judged on unseen days, and used on its own market only."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from core.adapters.synthetic.market import SyntheticMarket
from core.analyzers import discover
from core.deciding.synthesis import EQUAL
from core.deciding.weights import (
    HORIZON,
    Samples,
    Weights,
    bind_weights,
    choose_rule,
    fit_weights,
    gather,
    look_back,
    regress,
    sample,
)
from core.errors import CrpbotError
from core.fitted import Fit, Shelf, Wanted
from core.fitting import HISTORY_CANDLES
from core.market import Candles, milliseconds
from tests.fakes import walk_candles

DAY_MS = 86_400_000


def learn_weights(histories: list[Candles], *, origin: str) -> Fit:
    """Weights for the markets of these histories, with their manifest."""
    at = datetime(2026, 3, 3, tzinfo=UTC)
    pasts = [look_back(history, origin=origin, length=500, at=at) for history in histories]
    return bind_weights(origin, [past.candles for past in pasts], fit_weights([past.samples for past in pasts]), at=at)


def samples_of(terms: np.ndarray, rose: np.ndarray, *, spacing_ms: int = 3_600_000) -> Samples:
    """Samples an hour apart, whose labels are known four hours later."""
    ends = np.arange(len(rose), dtype=np.int64) * spacing_ms
    names = tuple(f"theory_{place}" for place in range(terms.shape[1]))
    return Samples(names, terms, rose.astype(np.float64), ends, ends + 4 * 3_600_000)


def planted(count: int, strength: float, seed: int = 1) -> Samples:
    """Four theories; only the first one knows something."""
    draw = np.random.default_rng(seed)
    terms = draw.uniform(-1.0, 1.0, (count, 4))
    return samples_of(terms, draw.uniform(size=count) < 1 / (1 + np.exp(-strength * terms[:, 0])))


def test_a_planted_theory_is_found_and_the_others_are_not() -> None:
    found = fit_weights([planted(6_000, 2.0)])
    assert found.weights[0] == pytest.approx(2.0, abs=0.25)
    assert np.abs(found.weights[1:]).max() < 0.25
    assert found.proven == 1.0
    assert found.loss < found.loss_equal


def test_noise_is_proven_in_no_more_than_a_few_of_forty_markets() -> None:
    proven = [float(fit_weights([planted(1_000, 0.0, seed)]).proven) for seed in range(40)]
    assert sum(proven) <= 3


def test_regression_agrees_with_another_implementation() -> None:
    from sklearn.linear_model import LogisticRegression

    past = planted(500, 1.0)
    share, penalty = 0.25, 1.0 / math.log(4.0) ** 2
    other = LogisticRegression(C=share / penalty, fit_intercept=False, tol=1e-12, max_iter=10_000)
    other.fit(past.terms, past.rose)
    assert regress(past.terms, past.rose) == pytest.approx(other.coef_[0], abs=1e-6)


def test_votes_that_never_happened_have_no_weight() -> None:
    assert regress(np.zeros((0, 3)), np.zeros(0)).tolist() == [0.0, 0.0, 0.0]
    assert regress(np.zeros((50, 3)), np.ones(50)).tolist() == [0.0, 0.0, 0.0]


def test_a_label_is_learned_only_when_it_was_known() -> None:
    past = planted(2_000, 2.0)
    later = fit_weights([past._replace(known_ms=past.ends_ms + 10**12)])
    assert later.loss == pytest.approx(math.log(2.0), abs=1e-15)  # nothing was known yet in any fold: a coin
    assert later.gain_over_coin == 0.0
    assert fit_weights([past]).gain_over_coin > 0.05
    step = past.ends_ms[1]
    in_time = fit_weights([past._replace(known_ms=past.ends_ms + 399 * step)])
    assert float(later.loss) > float(in_time.loss) > float(fit_weights([past]).loss)


def test_the_order_of_the_parts_does_not_matter() -> None:
    first, second = planted(400, 1.0, 1), planted(400, 1.0, 2)
    forward, backward = fit_weights([first, second]), fit_weights([second, first])
    assert all(np.array_equal(one, other) for one, other in zip(forward, backward, strict=True))


def test_too_little_past_is_refused() -> None:
    with pytest.raises(CrpbotError, match="199 windows of the past, at least 200"):
        fit_weights([planted(199, 1.0)])


def test_gathering_reads_windows_and_what_the_price_did_after_each() -> None:
    candles = walk_candles(count=420)
    found = gather(candles, Shelf(), origin="fake", length=250)
    assert found.theories == tuple(discover())
    assert found.terms.shape == (len(found.rose), len(discover()))
    last = 249
    assert found.rose[0] == float(candles.close[last + HORIZON] > candles.close[last])
    assert found.ends_ms[0] == candles.open_times[last] + 300_000
    assert (found.known_ms - found.ends_ms == HORIZON * 300_000).all()
    assert found.known_ms[-1] <= candles.as_of


def test_what_was_gathered_does_not_depend_on_candles_after_it() -> None:
    candles = walk_candles(count=420)
    cut = Candles(
        candles.symbol,
        candles.interval,
        *(getattr(candles, name)[:360].copy() for name in ("open_times", "open", "high", "low", "close", "volume")),
    )
    long, short = (gather(each, Shelf(), origin="fake", length=250) for each in (candles, cut))
    assert len(short.rose) < len(long.rose)
    assert np.array_equal(short.terms, long.terms[: len(short.rose)])
    assert np.array_equal(short.rose, long.rose[: len(short.rose)])


def test_a_history_too_short_to_learn_from_is_refused() -> None:
    with pytest.raises(CrpbotError, match="299 are needed"):
        gather(walk_candles(count=260), Shelf(), origin="fake", length=250)


def a_shelf(*, proven: bool) -> tuple[Shelf, Candles]:
    """Weights learned on a synthetic market."""
    candles = walk_candles(count=250)
    weights = sample()._replace(proven=np.array(float(proven)))
    fit = bind_weights("synthetic-7", [candles], weights, at=datetime(2026, 3, 3, tzinfo=UTC))
    return Shelf((fit,)), candles


def test_proven_weights_are_used_on_their_market_and_on_no_other() -> None:
    shelf, candles = a_shelf(proven=True)
    wanted = Wanted("synthetic-7", "5m", "BTC-USD", candles.as_of)
    assert choose_rule(shelf, wanted).label == "weights learned on 0 windows"
    assert choose_rule(shelf, wanted).weight("kalman_filter") == pytest.approx(math.log(4.0))
    assert choose_rule(shelf, wanted).weight("a theory that came later") == 0.0
    for other in ({"origin": "coinbase"}, {"interval": "15m"}, {"symbol": "ETH-USD"}, {"as_of_ms": candles.as_of - 1}):
        rule = choose_rule(shelf, wanted._replace(**other))  # type: ignore[arg-type]
        assert rule.weights == EQUAL.weights
        assert rule.label.startswith("equal weights (learned ones: ")
        assert "fitted on" in rule.label


def test_weights_that_proved_nothing_are_not_used() -> None:
    shelf, candles = a_shelf(proven=False)
    rule = choose_rule(shelf, Wanted("synthetic-7", "5m", "BTC-USD", candles.as_of))
    assert rule.weights == EQUAL.weights
    assert "proves nothing" in rule.label


def test_a_fit_says_what_it_was_learned_on_and_how_it_did() -> None:
    shelf, candles = a_shelf(proven=True)
    (fit,) = shelf.fits
    span = fit.spans["BTC-USD"]
    assert span.candles == len(candles)
    assert set(span.metrics) == set(Weights._fields[2:])
    assert len(fit.code) == 16


async def test_weights_of_a_market_without_skill_are_learned_and_not_used() -> None:
    market = SyntheticMarket(7)
    end = milliseconds(datetime(2026, 3, 2, 12, tzinfo=UTC))
    histories = await market.latest(["BTC-USD"], "5m", HISTORY_CANDLES + 3_000, now_ms=end)
    fit = learn_weights(histories, origin=market.identity)
    assert fit.spans["BTC-USD"].candles == 3_000
    assert fit.spans["BTC-USD"].metrics["samples"] == 205
    assert fit.spans["BTC-USD"].last == datetime(2026, 3, 2, 12, tzinfo=UTC)
    rule = choose_rule(Shelf((fit,)), Wanted(market.identity, "5m", "BTC-USD", end))
    assert rule.weights == EQUAL.weights
    assert "proves nothing" in rule.label


def test_weights_need_a_history_beyond_that_of_the_theories() -> None:
    with pytest.raises(CrpbotError, match="BTC-USD has 420, at least 7549 are needed"):
        learn_weights([walk_candles(count=420)], origin="fake")
