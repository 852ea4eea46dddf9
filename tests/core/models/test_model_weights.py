"""A network comes back as it was saved; a file that is anything else is refused in one sentence, and nothing is run."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.errors import CrpbotError
from core.fitted import Wanted
from core.market import milliseconds
from core.models import weights
from core.models.manifest import Kind, Manifest
from core.models.weights import PROBE_TOLERANCE, answer_probe, decode, encode, pack
from tests.core.bad_model_files import BAD_FILES, Marker
from tests.core.model_cases import describe, make_model, make_network

MANIFEST, BLOB = make_model()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_network_comes_back_to_the_last_bit(kind: Kind) -> None:
    manifest, blob = make_model(kind)
    network = decode(manifest, blob)
    for name, value in make_network(kind).state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
    assert not network.training
    assert not any(each.requires_grad for each in network.parameters())
    assert answer_probe(network, window=manifest.window) == pytest.approx(manifest.probe, abs=1e-6)


def test_the_same_weights_are_the_same_bytes_wherever_they_were() -> None:
    network = make_network()
    assert encode(network) == encode(make_network()) == encode(decode(MANIFEST, BLOB))
    assert encode(network.double()) == BLOB
    assert encode(make_network(seed=2)) != BLOB


def test_packing_leaves_the_network_in_training() -> None:
    network = make_network().double().train()
    pack(network, window=60)
    assert network.training
    assert next(network.parameters()).dtype == torch.float64


def test_loading_leaves_the_random_numbers_of_the_process_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    decode(MANIFEST, BLOB)
    assert torch.equal(torch.rand(3), expected)


def test_a_probe_within_the_tolerance_of_other_processors_passes_and_one_beyond_does_not() -> None:
    near = tuple(each + 0.9 * PROBE_TOLERANCE for each in MANIFEST.probe)
    decode(replace(MANIFEST, probe=near), BLOB)
    far = (*MANIFEST.probe[:5], MANIFEST.probe[5] + 1.1 * PROBE_TOLERANCE, *MANIFEST.probe[6:])
    with pytest.raises(CrpbotError, match=r"to input 5 of the probe, and answered .* when they were saved"):
        decode(replace(MANIFEST, probe=far), BLOB)
    with pytest.raises(CrpbotError, match="answered nan"):
        decode(replace(MANIFEST, probe=MANIFEST.probe[:7]), BLOB)


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason_even_when_the_digest_fits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Marker, "path", str(tmp_path / "was_run"))
    make, words = BAD_FILES[name]
    blob = make()
    with pytest.raises(CrpbotError, match=words) as caught:
        decode(replace(MANIFEST, sha256=sha256(blob).hexdigest()), blob)
    assert caught.value.reason == "BAD_WEIGHTS"
    assert "\n" not in caught.value.detail
    assert not (tmp_path / "was_run").exists()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(BLOB) - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_bytes_changed_anywhere_are_harmless_or_refused_in_one_sentence(changes: list[tuple[int, int]]) -> None:
    """The digest is made to fit, so that everything behind it is asked."""
    blob = bytearray(BLOB)
    for place, value in changes:
        blob[place] = value
    manifest = replace(MANIFEST, sha256=sha256(blob).hexdigest())
    try:
        network = decode(manifest, bytes(blob))
    except CrpbotError as error:
        told = error.detail
    else:
        told = ""
        assert answer_probe(network, window=60) == pytest.approx(MANIFEST.probe, abs=2 * PROBE_TOLERANCE)
    assert "\n" not in told


def test_a_model_of_another_market_is_not_opened() -> None:
    wanted = Wanted("synthetic-7-edge", "1m", "BTC-USD", milliseconds(MANIFEST.created_at))
    decode(MANIFEST, BLOB, wanted=wanted)
    with pytest.raises(CrpbotError, match="learned from synthetic-7-edge candles, these come from coinbase; remedy:"):
        decode(MANIFEST, BLOB, wanted=wanted._replace(origin="coinbase"))


def test_one_changed_bit_is_noticed() -> None:
    blob = bytearray(BLOB)
    blob[len(blob) // 2] ^= 1
    with pytest.raises(CrpbotError, match=f"have sha256 .*, the manifest vouches for {MANIFEST.sha256[:12]}"):
        decode(MANIFEST, bytes(blob))


def test_a_huge_file_is_refused_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = bytes(100_000_001)
    with pytest.raises(CrpbotError, match="are 100,000,001 bytes, at most 100,000,000 are read"):
        decode(replace(MANIFEST, sha256=sha256(blob).hexdigest()), blob)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"hidden": 4_000, "layers": 32}, r"has [\d,]+ parameters, at most 20,000,000 are allowed"),
        ({"hidden": 9}, r"parameters: says [\d,]+, the architecture has [\d,]+"),
        ({"hidden": 10**9}, r"architecture\.hidden: 1000000000 is not within 1 \.\. 4096"),
        ({"hidden": 8.0}, r"architecture\.hidden: 8\.0 is not of the kind of 64"),
        ({"bidirectional": 1}, r"architecture\.bidirectional: 1 is not of the kind of True"),
        ({"depth": 3}, r"architecture\.depth: is unknown to a lstm"),
        ({"features": 50}, r"architecture: reads 50 columns, the manifest names 31"),
        ({"hidden": None}, r"architecture\.hidden: is missing"),
    ],
)
def test_an_architecture_that_is_not_the_models_is_refused(entries: dict[str, Any], words: str) -> None:
    architecture = {**MANIFEST.architecture, **entries}
    architecture = {name: value for name, value in architecture.items() if value is not None}
    with pytest.raises(CrpbotError, match=words):
        decode(replace(MANIFEST, architecture=architecture), BLOB)


def test_weights_of_another_kind_are_refused() -> None:
    manifest, _ = make_model(Kind.TRANSFORMER)
    _, blob = make_model()
    with pytest.raises(CrpbotError, match=r"lack project\.weight"):
        decode(replace(manifest, sha256=sha256(blob).hexdigest()), blob)


def test_a_policy_of_fifty_columns_is_refused_by_the_first_that_differs() -> None:
    manifest, blob = make_model(Kind.PPO)
    with pytest.raises(
        CrpbotError, match="reads 1 state columns, this version has 3: column 1 is nothing in the model"
    ):
        decode(replace(manifest, state=manifest.state[:1]), blob)


def test_code_that_computes_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers fit, but this version has another activation between the layers of the head."""

    class Other(weights.lstm.Lstm):
        def __init__(self, config: weights.lstm.Config) -> None:
            super().__init__(config)
            self.head[1] = nn.GELU()

    monkeypatch.setitem(weights.NETWORKS, Kind.LSTM, (Other, weights.lstm.Config))
    with pytest.raises(CrpbotError, match="this version computes something else from them; remedy: train again"):
        decode(MANIFEST, BLOB)


def test_a_manifest_describes_a_model_of_full_size() -> None:
    network = weights.transformer.Transformer()
    packed = pack(network, window=100)
    manifest: Manifest = describe(packed, Kind.TRANSFORMER)
    assert (manifest.parameters, len(packed.probe)) == (863_745, weights.PROBE_ROWS)
    window = torch.ones(1, 100, 31)
    assert torch.allclose(decode(manifest, packed.blob)(window), network.eval()(window), atol=1e-6)
