"""What was fitted is found again on just the market it was fitted on, and on no other; a damaged fit is never used."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from core.adapters.fits import FitFolder, load_fits, save_fit
from core.analyzers import discover, evaluate, find, learners
from core.deciding.synthesis import EQUAL_WEIGHT, Rule
from core.deciding.weights import bind_weights, choose_rule, sample
from core.errors import CrpbotError
from core.fitted import Fit, Shelf, Span, Unfitted, Wanted
from core.fitting import choose_learners
from core.market import Windows, milliseconds
from tests.fakes import walk_candles

AT = datetime(2026, 1, 1, tzinfo=UTC)
THEORY = "market_regime"


def a_fit(*symbols: str, origin: str = "synthetic-7", interval: str = "5m", theory: str = THEORY) -> Fit:
    """A theory's sample as if it had been fitted on these symbols."""
    from core.analyzers import code_hash

    learning = find(theory).learning
    assert learning is not None
    span = Span(AT, AT, 1_000, {"loss": 0.5})
    return Fit(
        theory=theory,
        origin=origin,
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


BTC = Wanted("synthetic-7", "5m", "BTC-USD", milliseconds(AT))


def problem(library: Shelf, **other: str | int) -> str:
    found = library.find(THEORY, BTC._replace(**other))
    assert isinstance(found, Unfitted)
    return found.problem


@pytest.mark.parametrize("theory", [each.name for each in learners()])
def test_a_fit_comes_back_from_the_disk_as_it_was_saved(theory: str, tmp_path: Path) -> None:
    fit = a_fit("BTC-USD", "ETH-USD", theory=theory)
    save_fit(tmp_path, fit)
    (loaded,) = load_fits(tmp_path).fits
    assert (loaded.spans, loaded.fitted_at, loaded.origin, loaded.code) == (
        fit.spans,
        fit.fitted_at,
        fit.origin,
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
    remedy = "; remedy: crpbot fit --interval"
    assert not isinstance(library.find(THEORY, BTC), Unfitted)
    assert problem(Shelf()) == f"not fitted yet{remedy} 5m --symbol BTC-USD"
    assert problem(library, origin="replay-a") == (
        f"fitted on synthetic-7 candles, these come from replay-a{remedy} 5m --symbol BTC-USD"
    )
    assert problem(library, origin="synthetic-8").startswith("fitted on synthetic-7 candles"), "another seed"
    assert problem(library, interval="1h") == f"fitted on 5m candles, not on 1h{remedy} 1h --symbol BTC-USD"
    assert problem(library, symbol="LTC-USD") == f"not fitted on LTC-USD{remedy} 5m --symbol LTC-USD"
    assert problem(library, origin="request") == "fitted theories read the server's own candles only: ask by symbol"


def test_a_window_that_ends_before_the_history_does_is_not_read_with_what_it_could_not_see(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    assert problem(load_fits(tmp_path), as_of_ms=milliseconds(AT) - 1) == (
        "fitted on candles up to 2026-01-01 00:00 UTC, which this window could not see yet; "
        "remedy: crpbot fit --interval 5m --symbol BTC-USD"
    )


def test_a_fit_moved_into_another_markets_folder_is_still_of_the_market_it_was_fitted_on(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    (tmp_path / "synthetic-7_5m").rename(tmp_path / "replay-a_5m")
    assert problem(load_fits(tmp_path), origin="replay-a").startswith("fitted on synthetic-7 candles")


def test_a_fit_of_another_version_of_the_theory_is_refused(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    change(manifest_of(tmp_path), code="another")
    assert problem(load_fits(tmp_path)) == (
        "the fit in synthetic-7_5m was made by another version of this theory; "
        "remedy: crpbot fit --interval 5m --symbol BTC-USD"
    )


def test_a_fit_on_other_features_names_the_difference(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    change(manifest_of(tmp_path), features=["phase_of_the_moon"])
    assert problem(load_fits(tmp_path)) == (
        "the fit in synthetic-7_5m reads 1 features, this version has 0: gone phase_of_the_moon, new none; "
        "remedy: crpbot fit --interval 5m --symbol BTC-USD"
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
    assert problem(folder.library()).startswith("not fitted yet")
    save_fit(tmp_path, a_fit("BTC-USD"))
    first = folder.library()
    assert not isinstance(first.find(THEORY, BTC), Unfitted)
    assert folder.library() is first, "nothing is read while nothing is new"
    save_fit(tmp_path, a_fit("ETH-USD"))
    assert not isinstance(folder.library().find(THEORY, BTC._replace(symbol="ETH-USD")), Unfitted)


def test_rows_of_one_batch_are_read_each_by_its_own_fit(tmp_path: Path) -> None:
    closes = 100.0 * np.exp(np.cumsum(0.003 * np.random.default_rng(1).standard_normal((4, 500)), axis=1))
    block = np.ascontiguousarray(np.stack([closes] * 4 + [np.ones_like(closes)]))
    symbols = ("BTC-USD", "ETH-USD", "BTC-USD", "LTC-USD")
    origins = ("synthetic-7", "synthetic-7", "request", "synthetic-7")
    times = np.tile(milliseconds(AT) + 300_000 * np.arange(500, dtype=np.int64), (4, 1))
    windows = Windows(symbols, "5m", times, block, origins)
    library = Shelf((a_fit("BTC-USD", "ETH-USD"),))
    readings = evaluate(find(THEORY), windows, library)
    assert [reading.problem is None for reading in readings] == [True, True, False, False]
    assert str(readings[3].problem).startswith("not fitted on LTC-USD")
    for row in range(4):
        assert evaluate(find(THEORY), windows.row(row), library) == [readings[row]]
    nameless = replace(windows, origins=())
    assert all("elsewhere" in str(reading.problem) for reading in evaluate(find(THEORY), nameless, library))


@pytest.mark.parametrize(
    "entries",
    [
        {"symbols": []},
        {"symbols": {"BTC-USD": {}}},
        {"origin": None},
        {"file": 7},
        {"fitted_at": "yesterday"},
        {"features": 3},
    ],
    ids=str,
)
def test_an_odd_manifest_is_a_fault_of_that_fit_alone(entries: dict[str, object], tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    save_fit(tmp_path, a_fit("BTC-USD", theory="markov_regime"))
    change(manifest_of(tmp_path), **entries)
    library = load_fits(tmp_path)
    assert "is damaged" in problem(library)
    assert not isinstance(library.find("markov_regime", BTC), Unfitted)


def test_arrays_of_another_kind_are_refused(tmp_path: Path) -> None:
    fit = a_fit("BTC-USD")
    state = fit.states["BTC-USD"]
    name = state._fields[0]
    odd = state._replace(**{name: np.array(["text"])})
    save_fit(tmp_path, replace(fit, states={"BTC-USD": odd}))
    assert f"holds {name} as <U4" in problem(load_fits(tmp_path))


def test_a_truncated_archive_is_refused_even_when_its_manifest_vouches_for_it(tmp_path: Path) -> None:
    save_fit(tmp_path, a_fit("BTC-USD"))
    (arrays,) = tmp_path.glob("*/*.npz")
    arrays.write_bytes(arrays.read_bytes()[:-30])
    change(manifest_of(tmp_path), sha256=sha256(arrays.read_bytes()).hexdigest())
    assert "is damaged (BadZipFile)" in problem(load_fits(tmp_path))


SAVE_ONE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.core.adapters.test_fits import a_fit
from core.adapters.fits import save_fit
for _ in range(5):
    save_fit(Path(sys.argv[2]), a_fit(sys.argv[3]))
"""


def test_two_processes_that_save_at_once_lose_nothing(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    symbols = ("BTC-USD", "ETH-USD", "LTC-USD")
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVE_ONE, str(root), str(tmp_path), symbol], cwd=root)
        for symbol in symbols
    ]
    assert [saver.wait(300) for saver in savers] == [0, 0, 0]
    (fit,) = load_fits(tmp_path).fits
    assert sorted(fit.states) == list(symbols)
    assert not list(tmp_path.glob("*/.*.new"))


def test_only_theories_that_learn_can_be_fitted() -> None:
    assert choose_learners(()) == tuple(each.name for each in learners())
    with pytest.raises(CrpbotError, match="unknown fitted theory 'hurst_exponent'"):
        choose_learners(("hurst_exponent",))


def the_weights() -> Fit:
    """Weights of a small size, as if they had been learned and proven."""
    candles = walk_candles(count=250)
    return bind_weights("synthetic-7", [candles], sample()._replace(proven=np.array(1.0)), at=AT)


def rule_of(folder: Path, **other: str) -> Rule:
    wanted = Wanted("synthetic-7", "5m", "BTC-USD", walk_candles(count=250).as_of)
    return choose_rule(load_fits(folder), wanted._replace(**other))


def test_the_weights_of_the_rule_come_back_from_the_disk_as_they_were_saved(tmp_path: Path) -> None:
    save_fit(tmp_path, the_weights())
    rule = rule_of(tmp_path)
    assert rule.label == "weights learned on 0 windows"
    assert rule.weights == dict.fromkeys(discover(), EQUAL_WEIGHT)
    assert "not fitted on ETH-USD" in rule_of(tmp_path, symbol="ETH-USD").label
    assert FitFolder(tmp_path).library().fits[0].spans == the_weights().spans


def test_weights_learned_by_another_version_of_any_theory_are_refused(tmp_path: Path) -> None:
    save_fit(tmp_path, the_weights())
    (path,) = tmp_path.glob("*/synthesis.json")
    change(path, code="0" * 16)
    rule = rule_of(tmp_path)
    assert rule.weights == {}
    assert rule.label == (
        "equal weights (learned ones: the fit in synthetic-7_5m was made by another version of this theory)"
    )


def test_damaged_weights_leave_the_theories_fits_alone(tmp_path: Path) -> None:
    save_fit(tmp_path, the_weights())
    save_fit(tmp_path, a_fit("BTC-USD"))
    (path,) = tmp_path.glob("*/synthesis-*.npz")
    path.write_bytes(path.read_bytes()[:-50])
    shelf = load_fits(tmp_path)
    assert [fit.theory for fit in shelf.fits] == [THEORY]
    assert "not the file that its manifest vouches for" in rule_of(tmp_path).label
