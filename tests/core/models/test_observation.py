"""What an agent sees, column by column."""

import numpy as np
import pytest

from core.errors import CrpbotError
from core.models.observation import ACCOUNT, LIMIT, OBSERVATIONS, observe, observe_flat


def test_the_account_stands_behind_the_inputs_of_the_market() -> None:
    features = np.arange(62, dtype=np.float32).reshape(2, 31) / 100

    seen = observe(features, np.array([-1.0, 1.0]), np.array([0.002, -0.001]), np.array([1.0, 0.25]))

    assert OBSERVATIONS == 31 + len(ACCOUNT) == seen.shape[1]
    assert np.array_equal(seen[:, :31], features)
    assert seen[:, 31:].tolist() == pytest.approx(np.array([[-1.0, 2.0, 1.0], [1.0, -1.0, 0.25]]))


def test_a_spike_is_cut() -> None:
    features = np.full((1, 31), 1e6, dtype=np.float32)

    seen = observe(features, np.zeros(1), np.array([-0.5]), np.ones(1))

    assert (seen[0, :31] == LIMIT).all()
    assert seen[0, 32] == -LIMIT


def test_the_inputs_are_not_written_and_the_given_memory_is() -> None:
    features = np.full((1, 31), 20.0, dtype=np.float32)
    features.flags.writeable = False
    out = np.empty((1, OBSERVATIONS), dtype=np.float32)

    assert observe(features, np.zeros(1), np.zeros(1), np.ones(1), out=out) is out


def test_a_forecast_is_asked_of_an_untouched_account() -> None:
    assert observe_flat(np.zeros((2, 31), dtype=np.float32))[:, 31:].tolist() == [[0.0, 0.0, 1.0]] * 2


def test_other_inputs_than_the_models_are_refused() -> None:
    with pytest.raises(CrpbotError, match="has 50 columns, an agent reads 31"):
        observe_flat(np.zeros((1, 50), dtype=np.float32))
