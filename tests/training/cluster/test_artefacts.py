"""What a job made comes home with its hashes, or is refused by name."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.adapters.files.folder import FolderFiles
from core.errors import Code, CrpbotError
from core.models.manifest_text import write_manifest
from tests.core.model_cases import make_model
from training.cluster.artefacts import fetch_runs, fetch_whole, is_kept, keep_run, seal, unseal
from training.cluster.post import is_sealed
from training.scores import Scores
from training.trained import Run

JOB = "train-lstm-0123456789abcdef"


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    return FolderFiles(tmp_path)


def make_run(*symbols: str, rows: int = 50) -> Run:
    manifest, blob = make_model()
    rng = np.random.default_rng(rows)
    times = 60_000 * np.arange(rows, dtype=np.int64)
    scores = (
        Scores(symbol, times, rng.random(rows), rng.random(rows) < 0.5, rng.standard_normal(rows)) for symbol in symbols
    )
    return Run(manifest, blob, tuple(scores), ({"epoch": 1, "stop_loss": 0.1 + 0.2}, {"epoch": 2, "stop_loss": 1 / 3}))


def same(one: Run, other: Run) -> bool:
    columns = zip(one.scores, other.scores, strict=True)
    return (
        (write_manifest(one.manifest), one.blob, one.history)
        == (write_manifest(other.manifest), other.blob, other.history)
        and [each.symbol for each in one.scores] == [each.symbol for each in other.scores]
        and all(
            x.dtype == y.dtype and x.tobytes() == y.tobytes()
            for a, b in columns
            for x, y in zip(a[1:], b[1:], strict=True)
        )
    )


def test_a_job_that_is_sealed_gives_what_was_kept_to_the_last_bit(files: FolderFiles) -> None:
    runs = {"lstm-BTC-USD": make_run("BTC-USD"), "transformer-multi": make_run("ETH-USD", "BTC-USD")}
    for unit, run in runs.items():
        assert not is_kept(files, JOB, unit)
        keep_run(files, JOB, unit, run)
        assert is_kept(files, JOB, unit)
    seal(files, JOB)
    found = fetch_runs(files, JOB)
    assert list(found) == list(runs)
    assert all(same(found[unit], run) for unit, run in runs.items())


def test_a_job_that_is_not_sealed_brings_nothing_home(files: FolderFiles) -> None:
    keep_run(files, JOB, "lstm-BTC-USD", make_run("BTC-USD"))
    with pytest.raises(CrpbotError, match=f"job {JOB} has not ended with models") as caught:
        fetch_runs(files, JOB)
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_a_damaged_or_missing_file_is_refused_by_name(files: FolderFiles) -> None:
    unit = "lstm-BTC-USD"
    keep_run(files, JOB, unit, make_run("BTC-USD"))
    for name in ("manifest.json", "weights.pt", "scores.npz", "history.jsonl"):
        key = f"jobs/{JOB}/models/{unit}/{name}"
        whole = files.read(key, most=1_000_000)
        seal(files, JOB)
        files.write(key, whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
        with pytest.raises(CrpbotError, match="is not what was kept") as caught:
            fetch_runs(files, JOB)
        assert key in caught.value.detail
        assert not is_kept(files, JOB, unit)
        assert not is_sealed(files, JOB), "the same command has it made anew, and does not believe the seal again"
        files.remove(key)
        seal(files, JOB)
        with pytest.raises(CrpbotError, match="is missing") as caught:
            fetch_runs(files, JOB)
        assert key in caught.value.detail
        assert not is_kept(files, JOB, unit), "it is trained again"
        files.write(key, whole)
    seal(files, JOB)
    assert list(fetch_runs(files, JOB)) == [unit]
    assert is_sealed(files, JOB)


def test_what_is_changed_before_the_seal_is_refused_too(files: FolderFiles) -> None:
    keep_run(files, JOB, "lstm-BTC-USD", make_run("BTC-USD"))
    files.write(f"jobs/{JOB}/models/lstm-BTC-USD/weights.pt", b"others")
    seal(files, JOB)
    with pytest.raises(CrpbotError, match=r"weights\.pt is not what was kept"):
        fetch_runs(files, JOB)


def test_a_unit_that_was_begun_and_not_kept_is_no_part_of_the_seal(files: FolderFiles) -> None:
    keep_run(files, JOB, "lstm-BTC-USD", make_run("BTC-USD"))
    files.write(f"jobs/{JOB}/models/lstm-ETH-USD/weights.pt", b"half")
    assert not is_kept(files, JOB, "lstm-ETH-USD")
    seal(files, JOB)
    assert list(fetch_runs(files, JOB)) == ["lstm-BTC-USD"]


def test_of_a_job_that_is_not_complete_what_is_whole_comes_home(files: FolderFiles) -> None:
    runs = {"lstm-BTC-USD": make_run("BTC-USD"), "lstm-ETH-USD": make_run("ETH-USD")}
    assert not fetch_whole(files, JOB)
    for unit, run in runs.items():
        keep_run(files, JOB, unit, run)
    files.write(f"jobs/{JOB}/models/lstm-SOL-USD/weights.pt", b"half")
    assert list(fetch_whole(files, JOB)) == list(runs)
    files.write(f"jobs/{JOB}/models/lstm-ETH-USD/scores.npz", b"others")
    found = fetch_whole(files, JOB)
    assert list(found) == ["lstm-BTC-USD"]
    assert same(found["lstm-BTC-USD"], runs["lstm-BTC-USD"])


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_list_that_is_none_is_refused_by_name_and_believed_no_more(files: FolderFiles, content: bytes) -> None:
    unit = "lstm-BTC-USD"
    keep_run(files, JOB, unit, make_run("BTC-USD"))
    seal(files, JOB)
    files.write(f"jobs/{JOB}/artefacts.json", content)
    with pytest.raises(CrpbotError, match=r"artefacts\.json is no list of hashes") as caught:
        fetch_runs(files, JOB)
    assert caught.value.reason == "ARTEFACT_DAMAGED"
    assert not is_sealed(files, JOB)
    files.write(f"jobs/{JOB}/models/{unit}/files.json", content)
    assert not is_kept(files, JOB, unit)
    assert not fetch_whole(files, JOB)


def test_a_job_whose_seal_is_taken_away_keeps_its_models(files: FolderFiles) -> None:
    keep_run(files, JOB, "lstm-BTC-USD", make_run("BTC-USD"))
    seal(files, JOB)
    unseal(files, JOB)
    assert not is_sealed(files, JOB)
    assert is_kept(files, JOB, "lstm-BTC-USD")


class FlakyFiles(FolderFiles):
    """A bucket that cannot be reached, or a machine without credentials, for so many calls of each name."""

    look_seconds = 0.001

    def __init__(self, root: Path, code: Code, times: int) -> None:
        super().__init__(root)
        self._code, self._times = code, times
        self._asked: Counter[str] = Counter()

    def _meet(self, what: str) -> None:
        self._asked[what] += 1
        if self._asked[what] <= self._times:
            raise CrpbotError(self._code, "not now; remedy: later", reason="AWAY")

    def read(self, name: str, *, most: int) -> bytes:
        self._meet(f"read {name}")
        return super().read(name, most=most)

    def write(self, name: str, content: bytes) -> None:
        self._meet(f"write {name}")
        super().write(name, content)


class OnceAway(FlakyFiles):
    """Away for the first two calls, whatever they are."""

    def __init__(self, root: Path, code: Code) -> None:
        super().__init__(root, code, 2)

    def _meet(self, what: str) -> None:
        super()._meet("anything")


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.UNAUTHENTICATED])
def test_a_place_that_is_away_for_a_moment_costs_no_model(tmp_path: Path, code: Code) -> None:
    keep_run(FlakyFiles(tmp_path, code, 4), JOB, "u", make_run("BTC-USD"))
    assert is_kept(OnceAway(tmp_path, code), JOB, "u")
    seal(FlakyFiles(tmp_path, code, 2), JOB)
    assert list(fetch_runs(FolderFiles(tmp_path), JOB)) == ["u"]


@pytest.mark.parametrize(("code", "times"), [(Code.UNAVAILABLE, 5), (Code.PERMISSION_DENIED, 1)])
def test_a_place_that_stays_away_or_forbids_it_is_an_error(tmp_path: Path, code: Code, times: int) -> None:
    with pytest.raises(CrpbotError) as caught:
        keep_run(FlakyFiles(tmp_path, code, times), JOB, "u", make_run("BTC-USD"))
    assert caught.value.code is code
