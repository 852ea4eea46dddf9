"""What was fitted is found again on just the market it was fitted on, and on no other; a damaged fit is never used."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from core.adapters.fits import FitFolder, load_fits, save_fit
from core.analyzers import evaluate, find, learners
from core.errors import CrpbotError
from core.fitted import Fit, Shelf, Span, Unfitted
from core.fitting import choose_learners
from core.market import Windows

AT = datetime(2026, 1, 1, tzinfo=UTC)
THEORY = "market_regime"


def a_fit(*symbols: str, provider: str = "synthetic", interval: str = "5m", theory: str = THEORY) -> Fit:
    """A theory's sample as if it had been fitted on these symbols."""
    from core.analyzers import code_hash

    learning = find(theory).learning
    assert learning is not None
    span = Span(AT, AT, 1_000, {"loss": 0.5})
    return Fit(
        theory=theory,
        provider=provider,
        interval=interval,
        code=code_hash(theory),
        fitted_at=AT,
        spans=dict.fromkeys(symbols, span),
        states={symbol: learning.sample() for symbol in symbols},
    )


def manifest_of(folder: Path) -> Path:
    (path,) = folder.glob(f"*/{THEORY}.json")
    return path


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def problem(library: Shelf, *, source: str = "synthetic", interval: str = "5m", symbol: str = "BTC-USD") -> str:
    found = library.find(THEORY, source, interval, symbol)
    assert isinstance(found, Unfitted)
    return found.problem


@pytest.mark.parametrize("theory", [each.name for each in learners()])
def test_a_fit_comes_back_from_the_disk_as_it_was_saved(theory: str, tmp_path: Path) -> None:
    fit = a_fit("BTC-USD", "ETH-USD", theory=theory)
    save_fit(tmp_path, fit)
    (loaded,) = load_fits(tmp_path).fits
    assert (loaded.spans, loaded.fitted_at, loaded.provider, loaded.code) == (
        fit.spans,
        fit.fitted_at,
        fit.provider,
        fit.code,
    )
    for symbol, state in fit.states.items():
        for name, array in state._asdict().items():
            found = getattr(loaded.states[symbol], name)
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype


def test_what_is_missing_is_told_with_its_remedy(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    library = load_fits(tmp_path)
    assert not isinstance(library.find(THEORY, "synthetic", "5m", "BTC-USD"), Unfitted)
    assert problem(Shelf()) == "not fitted yet; remedy: crpbot fit"
    assert problem(library, source="replay") == (
        "fitted on synthetic candles, these come from replay; remedy: crpbot fit"
    )
    assert problem(library, interval="1h") == ("fitted on 5m candles, not on 1h; remedy: crpbot fit --interval 1h")
    assert problem(library, symbol="LTC-USD") == "not fitted on LTC-USD; remedy: crpbot fit --symbol LTC-USD"
    assert problem(library, source="request") == ("fitted theories read the server's own candles only: ask by symbol")


def test_a_fit_moved_into_another_providers_folder_is_still_of_the_market_it_was_fitted_on(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    (tmp_path / "synthetic-5m").rename(tmp_path / "replay-5m")
    assert problem(load_fits(tmp_path), source="replay").startswith("fitted on synthetic candles")


def test_a_fit_of_another_version_of_the_theory_is_refused(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    change(manifest_of(tmp_path), code="another")
    assert problem(load_fits(tmp_path)) == (
        "the fit in synthetic-5m was made by another version of this theory; remedy: crpbot fit"
    )


def test_a_fit_on_other_features_names_the_difference(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    change(manifest_of(tmp_path), features=["phase_of_the_moon"])
    assert problem(load_fits(tmp_path)) == (
        "the fit in synthetic-5m reads 1 features, this version has 0: gone phase_of_the_moon, new none; "
        "remedy: crpbot fit"
    )


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    (arrays,) = tmp_path.glob("*/*.npz")
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-1] + b"x")
    assert "is not the file that its manifest vouches for" in problem(load_fits(tmp_path))
    arrays.unlink()
    assert "is damaged (FileNotFoundError)" in problem(load_fits(tmp_path))
    arrays.write_bytes(whole)
    manifest_of(tmp_path).write_text("{")
    assert "is damaged (JSONDecodeError)" in problem(load_fits(tmp_path))


def test_the_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    save_fit(tmp_path / "fits", a_fit("BTC-USD"))
    (arrays,) = tmp_path.glob("fits/*/*.npz")
    outside = tmp_path / "outside.npz"
    arrays.rename(outside)
    change(manifest_of(tmp_path / "fits"), file="../../outside.npz")
    assert "is damaged (FileNotFoundError)" in problem(load_fits(tmp_path / "fits"))


def test_fitting_another_symbol_keeps_the_earlier_ones_unless_another_version_fitted_them(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    save_fit(tmp_path, a_fit("ETH-USD"))
    assert sorted(load_fits(tmp_path).fits[0].states) == ["BTC-USD", "ETH-USD"]
    assert len(list(tmp_path.glob("*/*.npz"))) == 1, "arrays that no manifest names are removed"
    change(manifest_of(tmp_path), code="another")
    save_fit(tmp_path, a_fit("LTC-USD"))
    assert list(load_fits(tmp_path).fits[0].states) == ["LTC-USD"]


def test_a_running_server_takes_up_what_is_fitted_meanwhile(tmp_path: Path) -> None:
    folder = FitFolder(tmp_path)
    assert problem(folder.library()) == "not fitted yet; remedy: crpbot fit"
    save_fit(tmp_path, a_fit("BTC-USD"))
    first = folder.library()
    assert not isinstance(first.find(THEORY, "synthetic", "5m", "BTC-USD"), Unfitted)
    assert folder.library() is first, "nothing is read while nothing is new"
    save_fit(tmp_path, a_fit("ETH-USD"))
    assert not isinstance(folder.library().find(THEORY, "synthetic", "5m", "ETH-USD"), Unfitted)


def test_rows_of_one_batch_are_read_each_by_its_own_fit(tmp_path: Path) -> None:
    closes = 100.0 * np.exp(np.cumsum(0.003 * np.random.default_rng(1).standard_normal((4, 500)), axis=1))
    block = np.ascontiguousarray(np.stack([closes] * 4 + [np.ones_like(closes)]))
    symbols, sources = ("BTC-USD", "ETH-USD", "BTC-USD", "LTC-USD"), ("synthetic", "synthetic", "request", "synthetic")
    times = np.tile(300_000 * np.arange(500, dtype=np.int64), (4, 1))
    windows = Windows(symbols, "5m", times, block, sources)
    library = Shelf((a_fit("BTC-USD", "ETH-USD"),))
    readings = evaluate(find(THEORY), windows, library)
    assert [reading.problem is None for reading in readings] == [True, True, False, False]
    assert readings[3].problem == "not fitted on LTC-USD; remedy: crpbot fit --symbol LTC-USD"
    for row in range(4):
        assert evaluate(find(THEORY), windows.row(row), library) == [readings[row]]
    nameless = replace(windows, sources=())
    assert all("elsewhere" in str(reading.problem) for reading in evaluate(find(THEORY), nameless, library))


def test_only_theories_that_learn_can_be_fitted() -> None:
    assert choose_learners(()) == tuple(each.name for each in learners())
    with pytest.raises(CrpbotError, match="unknown fitted theory 'hurst_exponent'"):
        choose_learners(("hurst_exponent",))
