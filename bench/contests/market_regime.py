"""Three phases beside hmmlearn and the Markov regression of statsmodels: the filter, and learning in the window."""

from __future__ import annotations

import logging
import warnings

import numpy as np
from hmmlearn.hmm import GaussianHMM
from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

from bench.contest import Contest
from core.analyzers import market_regime
from core.kernels.hidden_markov import maximise
from core.market import Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    fitted = market_regime.sample()
    many, one = [fitted] * len(batch), [fitted]
    values = single.log_returns() / single.log_returns().std()
    states = len(fitted.start)
    # Most steps, least gain, least deviation; no least stay and no priors: plain expectation-maximisation.
    plain = (100, 0.01, 1e-3, 0.0, 0.0, 0.0)

    def hmmlearn(**settings: object) -> GaussianHMM:
        model = GaussianHMM(states, init_params="", min_covar=1e-6, covars_prior=0.0, **settings)
        model.startprob_, model.transmat_ = fitted.start.copy(), fitted.transition.copy()
        model.means_ = fitted.emission[0][:, None].copy()
        model.covars_ = (fitted.emission[1] ** 2)[:, None].copy()
        return model

    def statsmodels() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MarkovRegression(values[0], k_regimes=states, switching_variance=True).fit(disp=False)

    def learn() -> object:
        model = fitted.emission.copy(), fitted.transition.copy(), fitted.start.copy()
        return maximise(values, *model, np.arange(states), plain)

    known, column = hmmlearn(), values.T.copy()
    return [
        Contest(
            name="filter and all fields",
            batch=lambda: market_regime.analyze(batch, many),
            windows=len(batch),
            single=lambda: market_regime.analyze(single, one),
            library_name="hmmlearn predict_proba",
            library=lambda: known.predict_proba(column),
            goal=5.0,
        ),
        Contest(
            name="learning on 500 candles",
            batch=learn,
            windows=1,
            single=learn,
            library_name="statsmodels MarkovRegression",
            library=statsmodels,
            goal=100.0,
            serves=False,
        ),
        Contest(
            name="learning on 500 candles",
            batch=learn,
            windows=1,
            single=learn,
            library_name="hmmlearn fit",
            library=lambda: hmmlearn(n_iter=100, tol=0.01).fit(column),
            goal=5.0,
            serves=False,
        ),
    ]
