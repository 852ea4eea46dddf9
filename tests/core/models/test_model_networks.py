"""The networks have the promised sizes, compute what their sources say, and judge a window by its own candles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from core.errors import CrpbotError
from core.models import lstm, policy, transformer
from tests.core.model_cases import Kind, make_network


def count(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lstm.Lstm(lstm.BIDIRECTIONAL), 157_313),
        (lstm.Lstm(lstm.UNIDIRECTIONAL), 62_337),
        (transformer.Transformer(), 863_745),
        (policy.Policy(policy.Config(34)), 13_060),
    ],
    ids=["bidirectional", "unidirectional", "transformer", "policy"],
)
def test_a_network_has_the_promised_number_of_parameters(network: nn.Module, parameters: int) -> None:
    assert count(network) == parameters


@pytest.mark.parametrize(
    ("make", "config"),
    [
        (lstm.Lstm, lstm.Config(features=5, hidden=3, layers=1, head=2)),
        (lstm.Lstm, lstm.Config(features=5, hidden=3, layers=4, bidirectional=False, head=7)),
        (lstm.Lstm, lstm.Config(features=50, hidden=9, layers=3, head=2)),
        (transformer.Transformer, transformer.Config(features=3, width=16, layers=3, heads=2, feedforward=5, head=7)),
        (policy.Policy, policy.Config(7, actions=5, hidden=11)),
    ],
)
def test_the_size_is_known_before_the_network_is_made(make: Callable[..., nn.Module], config: Any) -> None:
    assert config.parameters == count(make(config))


def test_the_lstm_computes_the_recurrence_of_its_source() -> None:
    """Against numpy, one direction and layer at a time: Hochreiter and Schmidhuber with forget gate."""
    for bidirectional in (True, False):
        torch.manual_seed(3)
        network = lstm.Lstm(lstm.Config(features=5, hidden=4, head=3, bidirectional=bidirectional)).eval()
        weights = {name: value.detach().double().numpy() for name, value in network.state_dict().items()}
        window = torch.randn(1, 7, 5)
        seen = window[0].double().numpy()
        for layer in range(2):
            forward, last = recur(seen, weights, f"l{layer}")
            ends = [last]
            columns = [forward]
            if bidirectional:
                backward, last = recur(seen[::-1], weights, f"l{layer}_reverse")
                ends.append(last)
                columns.append(backward[::-1])
            seen = np.concatenate(columns, axis=1)
        hidden = np.maximum(0.0, weights["head.0.weight"] @ np.concatenate(ends) + weights["head.0.bias"])
        expected = weights["head.3.weight"] @ hidden + weights["head.3.bias"]
        assert network(window).detach().numpy() == pytest.approx(expected, abs=1e-6)


def recur(rows: np.ndarray, weights: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    hidden = cell = np.zeros(4)
    outputs = []
    for row in rows:
        gates = weights[f"lstm.weight_ih_{name}"] @ row + weights[f"lstm.bias_ih_{name}"]
        gates = gates + weights[f"lstm.weight_hh_{name}"] @ hidden + weights[f"lstm.bias_hh_{name}"]
        write, forget, candidate, output = np.split(gates, 4)
        cell = expit(forget) * cell + expit(write) * np.tanh(candidate)
        hidden = expit(output) * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs), hidden


def test_the_transformer_computes_what_the_librarys_encoder_does() -> None:
    """Against torch.nn.TransformerEncoder with the same weights, which computes every candle's view to the end."""
    torch.manual_seed(4)
    config = transformer.Config(width=16, layers=3, heads=4, feedforward=8, head=4)
    network = transformer.Transformer(config).eval()
    layer = nn.TransformerEncoderLayer(16, 4, 8, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    for mine, theirs in zip(network.layers, encoder.layers, strict=True):
        both = (mine.query, mine.key_value)
        theirs.load_state_dict(
            {
                "self_attn.in_proj_weight": torch.cat([each.weight for each in both]),
                "self_attn.in_proj_bias": torch.cat([each.bias for each in both]),
                **{f"self_attn.out_proj.{name}": value for name, value in mine.merge.state_dict().items()},
                **{f"linear1.{name}": value for name, value in mine.widen.state_dict().items()},
                **{f"linear2.{name}": value for name, value in mine.narrow.state_dict().items()},
                **{f"norm1.{name}": value for name, value in mine.norm_attention.state_dict().items()},
                **{f"norm2.{name}": value for name, value in mine.norm_feedforward.state_dict().items()},
            }
        )
    for length in (1, 60, 100, 130):
        windows = torch.randn(3, length, 31)
        seen = network.project(windows) + transformer.positions(length, 16)
        expected = network.head(encoder(seen)[:, -1]).squeeze(1)
        assert torch.allclose(network(windows), expected, atol=1e-5)


def test_positions_are_the_sines_of_their_source() -> None:
    """Vaswani et al. 2017, section 3.5."""
    table = transformer.positions(100, 16).numpy()
    for place in (0, 1, 99):
        for pair in range(8):
            angle = place / 10_000 ** (2 * pair / 16)
            assert table[place, 2 * pair] == pytest.approx(np.sin(angle), abs=1e-5)
            assert table[place, 2 * pair + 1] == pytest.approx(np.cos(angle), abs=1e-5)


@pytest.mark.parametrize("kind", [Kind.LSTM, Kind.TRANSFORMER])
def test_every_candle_of_a_window_counts_and_so_does_their_order(kind: Kind) -> None:
    network = make_network(kind).eval()
    window = torch.randn(1, 60, 31)
    answer = network(window)
    for place in (0, 30, 59):
        other = window.clone()
        other[0, place] += 3.0
        assert not torch.equal(network(other), answer)
    assert not torch.allclose(network(window[:, torch.randperm(60)]), answer)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("batch", [2, 16, 33])
def test_a_row_does_not_see_its_batch(kind: Kind, batch: int) -> None:
    """Equal within the rounding of sums that another batch orders differently."""
    network = make_network(kind).eval()
    rows = torch.randn(batch, 34) if kind is Kind.PPO else torch.randn(batch, 60, 31)
    with torch.inference_mode():
        together = network(rows)
        alone = [network(rows[place : place + 1]) for place in range(batch)]
    if kind is Kind.PPO:
        together, alone = together[0], [each[0] for each in alone]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_a_policy_begins_nearly_even_and_its_two_nets_share_nothing() -> None:
    network = policy.Policy(policy.Config(34))
    logits, value = network(torch.randn(1_000, 34))
    assert (logits.shape, value.shape) == ((1_000, 3), (1_000,))
    assert float((logits.softmax(dim=1) - 1 / 3).detach().abs().max()) < 0.05
    value.sum().backward()
    assert all(each.grad is None for each in network.actor.parameters())


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"hidden": 0}, "architecture.hidden: 0 is not within 1 .. 4096"),
        ({"layers": 1_000_000}, "architecture.layers: 1000000 is not within 1 .. 32"),
        ({"dropout": 1.0}, "architecture.dropout: 1.0 is not within 0 .. 1"),
        ({"dropout": float("nan")}, "architecture.dropout: nan"),
    ],
)
def test_an_impossible_architecture_is_refused_by_name(entries: dict[str, float], words: str) -> None:
    with pytest.raises(CrpbotError, match=words.replace(".", r"\.")):
        lstm.Config(**entries)


def test_a_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(CrpbotError, match="130 is not a multiple of 2 x 8 heads"):
        transformer.Config(width=130)
