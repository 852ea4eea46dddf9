"""A job on a real Ray cluster of this machine: units side by side, then the one over all coins, and home again."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.adapters.files.folder import FolderFiles
from core.adapters.files.places import open_files
from core.errors import Code, CrpbotError
from core.models.manifest import Kind
from core.models.weights import decode
from tests.training.cluster.test_artefacts import make_run
from tests.training.made_histories import DAY, make_history
from training.cluster.artefacts import fetch_runs, fetch_whole, is_kept, keep_run
from training.cluster.job import CODE, read_job
from training.cluster.mail import read_progress
from training.cluster.order import JobOrder, Recipe, Unit, write_order
from training.cluster.post import is_sealed, read_units
from training.cluster.unit import Fault, fault_of, storage_of
from training.cluster.work import NOT_ALL_TRAINED, Log, check_workers, finish, train_job
from training.history import build_datasets
from training.lesson import prepare
from training.runs import launch
from training.snapshot import keep_snapshot

# Eight batches and a network of four: whether the parts fit together, not how well it learns.
SMALL = Recipe(epochs=1, seed=7, steps=1, preset="original", hidden=4)
WIDE = replace(SMALL, hidden=16)  # heads of attention divide it
COINS = (make_history("BTC-USD"), make_history("ETH-USD"), make_history("SOL-USD", (0, DAY)))
UNITS = tuple(Unit(Kind.LSTM, (each.symbol,)) for each in COINS)
EVERY = Unit(Kind.TRANSFORMER, tuple(each.symbol for each in COINS))


def make_order(files: FolderFiles, **other: object) -> JobOrder:
    data = keep_snapshot(files, COINS)
    return replace(JobOrder((UNITS, (EVERY,)), (SMALL, WIDE), data, code="c" * 64), **other)


def test_the_name_of_an_order_is_its_content(tmp_path: Path) -> None:
    order = make_order(FolderFiles(tmp_path))
    assert make_order(FolderFiles(tmp_path)).id == order.id
    for other in ({"workers": 2}, {"code": "d" * 64}, {"data": "e" * 64}, {"recipes": (SMALL, SMALL)}):
        assert replace(order, **other).id != order.id


def test_a_job_of_other_code_or_a_changed_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, order = FolderFiles(tmp_path), make_order(FolderFiles(tmp_path))
    files.write(f"jobs/{order.id}/order.json", write_order(order).encode())
    monkeypatch.delenv(CODE, raising=False)
    assert read_job(str(tmp_path), order.id) == order
    monkeypatch.setenv(CODE, order.code)
    assert read_job(str(tmp_path), order.id) == order
    monkeypatch.setenv(CODE, "d" * 64)
    with pytest.raises(CrpbotError, match="is of code cccccccccccc, this cluster runs dddddddddddd"):
        read_job(str(tmp_path), order.id)
    files.write(f"jobs/{order.id}/order.json", write_order(replace(order, workers=2)).encode())
    with pytest.raises(CrpbotError, match="it was changed"):
        read_job(str(tmp_path), order.id)


def test_checkpoints_lie_below_the_job_and_a_bucket_is_asked_for_in_its_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order(FolderFiles(tmp_path))
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert storage_of("/models/cluster", order) == f"/models/cluster/runs/{order.id}"
    assert storage_of("s3://bucket/training/", order) == f"s3://bucket/training/runs/{order.id}?region=eu-west-1"


@pytest.mark.parametrize(
    ("code", "reason", "is_final"),
    [
        (Code.FAILED_PRECONDITION, "CANDLES_NOT_USABLE", True),
        (Code.INVALID_ARGUMENT, "TOO_FEW_CANDLES", True),
        (Code.FAILED_PRECONDITION, "LOSS_NOT_FINITE", True),
        (Code.FAILED_PRECONDITION, "SNAPSHOT_DAMAGED", False),
        (Code.INVALID_ARGUMENT, "NOTHING_KEPT", False),
        (Code.UNAVAILABLE, "WORKERS_FAILED", False),
        (Code.NOT_FOUND, "NO_SNAPSHOT", False),
        (Code.PERMISSION_DENIED, "DENIED", False),
    ],
)
def test_what_the_candles_are_to_blame_for_is_final_and_an_accident_is_not(
    code: Code, reason: str, *, is_final: bool
) -> None:
    fault = fault_of(CrpbotError(code, "it cannot be", reason=reason))
    assert fault.is_final is is_final
    assert fault.words.startswith("it cannot be")
    assert ("run the same command again" in fault.words) is not is_final


@pytest.mark.parametrize(
    ("workers", "gpus", "cpus", "is_ours", "words"),
    [
        (4, 4, 16, True, ""),
        (5, 4, 16, True, "5 workers, the cluster has 4 GPUs at the most; remedy: no more --workers"),
        (5, 4, 16, False, ""),
        (17, 4, 16, False, "17 workers, the cluster has 16 processors at the most; remedy: no more --workers"),
        (2, 0, 2, True, ""),
        (3, 0, 2, True, "3 workers, the cluster has 2 processors at the most; remedy: no more --workers"),
    ],
)
def test_more_workers_than_a_cluster_can_have_are_refused(
    *, workers: int, gpus: int, cpus: int, is_ours: bool, words: str
) -> None:
    order = JobOrder((UNITS,), (SMALL,), "d" * 64, "c" * 64, workers=workers)
    if not words:
        check_workers(order, gpus=gpus, cpus=cpus, is_ours=is_ours)
        return
    with pytest.raises(CrpbotError, match=words) as caught:
        check_workers(order, gpus=gpus, cpus=cpus, is_ours=is_ours)
    assert caught.value.reason == "TOO_MANY_WORKERS"


def test_a_job_is_sealed_only_when_no_unit_is_left_to_be_made(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    order = JobOrder((UNITS,), (SMALL,), "d" * 64, "c" * 64)
    btc, eth, sol = (unit.name for unit in UNITS)

    def end(faults: dict[str, Fault]) -> None:
        log = Log(order, files, None)
        for unit in UNITS:
            log.end(unit.name, faults.get(unit.name))
        log.write()
        finish(order, files, log)

    final, accident = Fault("too few candles", is_final=True), Fault("no machine; run the same command again", False)
    keep_run(files, order.id, btc, make_run("BTC-USD"))
    with pytest.raises(
        CrpbotError, match=rf"1 of 3 models of job {order.id} are not made; {eth}: no machine"
    ) as caught:
        end({eth: accident, sol: final})
    assert caught.value.reason == NOT_ALL_TRAINED
    assert not is_sealed(files, order.id)
    with pytest.raises(CrpbotError, match=f"none of the 3 models .*; {eth}: no machine") as caught:
        end({btc: final, eth: accident, sol: final})
    assert caught.value.reason == NOT_ALL_TRAINED, "one of them still can be"
    with pytest.raises(CrpbotError, match="none of the 3 models") as caught:
        end({btc: final, eth: final, sol: final})
    assert caught.value.reason == "NOTHING_TRAINED"
    assert not is_sealed(files, order.id)
    end({eth: final, sol: final})
    assert list(fetch_runs(files, order.id)) == [btc]
    assert {name: each.refused for name, each in read_units(files, order.id).items()} == {
        btc: False,
        eth: True,
        sol: True,
    }


@pytest.mark.serve
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_a_job_trains_what_can_be_trained_and_does_nothing_twice(tmp_path: Path) -> None:
    files, told = FolderFiles(tmp_path / "files"), []
    order = make_order(files)
    train_job(order, files.url, open_files, address=None, tell=told.append)

    runs = fetch_runs(files, order.id)
    assert list(runs) == ["lstm-BTC-USD", "lstm-ETH-USD", "transformer-multi"]
    progress = read_progress(files.read(f"jobs/{order.id}/progress.json", most=100_000))
    assert list(progress) == [unit.name for unit in order.units]
    assert {name: each.words for name, each in progress.items() if not each.fault} == dict.fromkeys(runs, "done")
    assert "SOL-USD has 1440 candles of 1m" in progress["lstm-SOL-USD"].fault, "and it costs the others nothing"
    assert progress["lstm-BTC-USD"].done == progress["lstm-BTC-USD"].total > 0
    assert told[-1] == progress

    multi = runs["transformer-multi"].manifest
    assert multi.symbols == ("BTC-USD", "ETH-USD"), "those that can be trained on"
    at_home = build_datasets(COINS[:1], 60)[0]
    assert runs["lstm-BTC-USD"].manifest.data_hash == at_home.data_hash
    for each in runs.values():
        decode(each.manifest, each.blob)
        assert all(len(scores.open_times) for scores in each.scores)
        assert len(each.history) == 1

    alone = prepare(Kind.LSTM, SMALL, COINS[:1], root=tmp_path / "alone")
    run = alone.finish(launch(lambda _, place: alone.learn(place), None, alone.job))
    assert run.manifest.run == runs["lstm-BTC-USD"].manifest.run
    assert run.manifest.sha256 == runs["lstm-BTC-USD"].manifest.sha256, "as if it had been trained at home"

    assert progress["lstm-SOL-USD"].refused, "no other machine could train it"
    files.remove(f"jobs/{order.id}/models/lstm-ETH-USD/weights.pt")
    before = files.stamps(f"jobs/{order.id}/models/")
    assert not is_kept(files, order.id, "lstm-ETH-USD")
    train_job(order, files.url, open_files, address=None)
    after = files.stamps(f"jobs/{order.id}/models/")
    changed = {name.split("/")[3] for name in after if after[name] != before.get(name)}
    progress = read_progress(files.read(f"jobs/{order.id}/progress.json", most=100_000))
    assert progress["lstm-ETH-USD"].fault == ""
    assert changed == {"lstm-ETH-USD"}, "what is whole is not made again"
    again = fetch_runs(files, order.id)["lstm-ETH-USD"]
    assert again.manifest.sha256 == runs["lstm-ETH-USD"].manifest.sha256
    assert again.history == runs["lstm-ETH-USD"].history, "its seconds too: it went on from its checkpoint"


@pytest.mark.serve
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_a_unit_that_failed_by_accident_is_made_by_the_same_command_and_nothing_else_is(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "files")
    order = make_order(files, stages=(UNITS[:2],), recipes=(SMALL,))
    damaged = f"data/{order.data}/ETH-USD.bin"
    whole = files.read(damaged, most=10_000_000)
    files.write(damaged, whole[:-1] + bytes([whole[-1] ^ 1]))
    words = rf"1 of 2 models of job {order.id} are not made.*lstm-ETH-USD: .*damaged.*same command"
    with pytest.raises(CrpbotError, match=words) as caught:
        train_job(order, files.url, open_files, address=None)
    assert caught.value.reason == NOT_ALL_TRAINED
    assert not is_sealed(files, order.id), "it can still be completed"
    first = fetch_whole(files, order.id)
    assert list(first) == ["lstm-BTC-USD"], "what is whole can come home all the same"
    unit = read_units(files, order.id)["lstm-ETH-USD"]
    assert unit.fault
    assert not unit.refused

    files.write(damaged, whole)
    train_job(order, files.url, open_files, address=None)
    runs = fetch_runs(files, order.id)
    assert list(runs) == ["lstm-BTC-USD", "lstm-ETH-USD"]
    assert runs["lstm-BTC-USD"].history == first["lstm-BTC-USD"].history, "it was not made again"


@pytest.mark.serve
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*")
def test_a_job_of_which_nothing_can_be_trained_fails_with_one_sentence(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    order = make_order(files, stages=((UNITS[2],),), recipes=(SMALL,))
    with pytest.raises(CrpbotError, match=r"none of the 1 models of job .* could be trained; lstm-SOL-USD: "):
        train_job(order, files.url, open_files, address=None)
    assert f"jobs/{order.id}/artefacts.json" not in files.stamps()
