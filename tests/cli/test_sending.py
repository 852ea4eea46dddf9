"""Code and candles go to the bucket where they are not there, and only there."""

from pathlib import Path

from cli.training.plan import send
from core.adapters.files.folder import FolderFiles
from core.models.manifest import Kind
from tests.training.made_histories import make_history
from training.cluster.order import JobOrder, Recipe, Unit
from training.snapshot import keep_snapshot, read_snapshot

CODE = b"the programs"


def test_what_was_removed_from_the_bucket_is_sent_again(tmp_path: Path) -> None:
    here, there = FolderFiles(tmp_path / "here"), FolderFiles(tmp_path / "there")
    data = keep_snapshot(here, (make_history("BTC-USD"),))
    recipe = Recipe(epochs=1, seed=7, steps=1, preset="original")
    job = JobOrder(((Unit(Kind.LSTM, ("BTC-USD",)),),), (recipe,), data, code="c" * 64)
    whole = send(job, CODE, here, there)
    assert send(job, CODE, here, there) == 0
    there.remove(f"code/{job.code}.zip")
    assert send(job, CODE, here, there) == len(CODE)
    for name in there.stamps("data/"):
        there.remove(name)
    assert send(job, CODE, here, there) == whole - len(CODE)
    assert [each.symbol for each in read_snapshot(there, data)] == ["BTC-USD"]
