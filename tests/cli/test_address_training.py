"""A job on a cluster that is there already: what is whole comes home, and what is missing is told with its remedy."""

from pathlib import Path

import pytest

from cli.training.by_address import make_models
from core.adapters.files.folder import FolderFiles
from core.errors import Code, CrpbotError
from core.models.manifest import Kind
from tests.training.cluster.test_artefacts import make_run
from training.cluster.artefacts import keep_run, seal
from training.cluster.mail import UnitProgress, job_key, write_progress
from training.cluster.order import JobOrder, Recipe, Unit
from training.cluster.work import NOT_ALL_TRAINED

BTC, ETH = (Unit(Kind.LSTM, (symbol,)) for symbol in ("BTC-USD", "ETH-USD"))
JOB = JobOrder(((BTC, ETH),), (Recipe(epochs=1, seed=7, steps=1, preset="fast"),), data="d" * 64, code="c" * 64)


def not_all() -> None:
    raise CrpbotError(Code.ABORTED, "1 of 2 models are not made", reason=NOT_ALL_TRAINED)


def test_what_is_whole_comes_home_and_the_rest_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = FolderFiles(tmp_path)

    def train() -> None:
        keep_run(files, JOB.id, BTC.name, make_run("BTC-USD"))
        units = {ETH.name: UnitProgress(fault="no machine; run the same command again")}
        files.write(job_key(JOB.id, "progress.json"), write_progress(units))
        not_all()

    home = make_models(files, JOB, train)
    assert list(home.runs) == [BTC.name]
    assert "run the same command again" in home.units[ETH.name].fault
    assert "1 of 2 models are not made" in capsys.readouterr().err


def test_a_job_of_which_nothing_is_whole_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError, match="1 of 2 models are not made"):
        make_models(FolderFiles(tmp_path), JOB, not_all)


def test_a_damaged_model_is_made_anew_by_the_same_command(tmp_path: Path) -> None:
    files, trained = FolderFiles(tmp_path), []

    def train() -> None:
        trained.append(JOB.id)
        keep_run(files, JOB.id, BTC.name, make_run("BTC-USD"))
        seal(files, JOB.id)

    make_models(files, JOB, train)
    make_models(files, JOB, train)
    assert len(trained) == 1, "what is there is not made again"
    files.write(f"jobs/{JOB.id}/models/{BTC.name}/weights.pt", b"others")
    with pytest.raises(CrpbotError) as caught:
        make_models(files, JOB, train)
    assert caught.value.reason == "ARTEFACT_DAMAGED"
    assert list(make_models(files, JOB, train).runs) == [BTC.name]
    assert len(trained) == 2
