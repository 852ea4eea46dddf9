"""Whatever happens to a model's files, and to whoever writes them, the model that decided goes on deciding."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from types import FrameType

import pytest

from core.adapters.models.folder import ModelFolder
from core.errors import CrpbotError
from core.models.manifest import Kind, Manifest
from core.models.weights import decode
from tests.core.model_cases import AT, DAY, make_model, passing
from tests.core.model_stores import BETTER, BTC, NEW, OLD, OLD_BLOB, make_store, promoted


@pytest.fixture
def store(tmp_path: Path) -> ModelFolder:
    return make_store(tmp_path / "models")


def weights_of(store: ModelFolder, manifest: Manifest) -> Path:
    return store._files.root / f"lstm_BTC-USD_1m_{manifest.sha256[:8]}.pt"


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(100_000_001)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "weights gone": (".pt", Path.unlink, r"\.pt is missing"),
    "weights truncated": (".pt", lambda path: os.truncate(path, 1_000), "have sha256"),
    "weights of another": (".pt", lambda path: path.write_bytes(OLD_BLOB), "have sha256"),
    "weights huge": (".pt", as_huge, r"\.pt has more than 100,000,000 bytes"),
    "weights a pipe": (".pt", as_pipe, r"\.pt is no plain file"),
    "weights a link": (".pt", as_link, r"\.pt cannot be read \(Too many levels of symbolic links\)"),
    "weights a folder": (".pt", as_folder, r"\.pt (is no plain file|cannot be read)"),
    "manifest gone": (".json", Path.unlink, f"unknown model '{NEW.version}'"),
    "manifest truncated": (".json", lambda path: os.truncate(path, 100), f"unknown model '{NEW.version}'"),
    "manifest no text": (".json", lambda path: path.write_bytes(b"\xff" * 9), f"unknown model '{NEW.version}'"),
    "manifest huge": (".json", as_huge, f"unknown model '{NEW.version}'"),
    "manifest a pipe": (".json", as_pipe, f"unknown model '{NEW.version}'"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_is_refused_and_the_old_one_stays(name: str, store: ModelFolder) -> None:
    suffix, damage, words = DAMAGES[name]
    damage(weights_of(store, NEW).with_suffix(suffix))
    for act in (lambda: store.load(NEW.version), lambda: store.promote(NEW.version, BETTER)):
        with pytest.raises(CrpbotError, match=words):
            act()
    assert promoted(store) == OLD.version
    decode(*store.load(promoted(store)))
    if suffix == ".json" and name != "manifest gone":
        assert [entry.manifest is None for entry in store.entries()] == [False, True]
        assert str(store.entries()[-1].fault).startswith(weights_of(store, NEW).with_suffix(".json").name)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("../elsewhere.pt", "points out of the folder"),
        ("/etc/passwd", "points out of the folder"),
        ("gone.pt", r"gone\.json: is missing"),
        (f"transformer_multi_v{AT + 5 * DAY:%Y%m%dT%H%M%SZ}.pt", "which is a model for something else"),
    ],
)
def test_a_pointer_to_anything_but_a_model_of_its_own_is_a_fault(target: str, words: str, store: ModelFolder) -> None:
    store.save(*make_model(Kind.TRANSFORMER))
    link = store._files.root / "lstm_BTC-USD_promoted.pt"
    link.unlink()
    link.symlink_to(target)
    with pytest.raises(CrpbotError, match=words):
        store.promoted()[BTC].read()
    check_nobody_is_promoted_over_it(store)


def test_a_pointer_that_is_a_file_is_a_fault(store: ModelFolder) -> None:
    link = store._files.root / "lstm_BTC-USD_promoted.pt"
    link.unlink()
    link.write_bytes(OLD_BLOB)
    assert "is no link" in str(store.promoted()[BTC].fault)
    check_nobody_is_promoted_over_it(store)


def test_nobody_is_promoted_over_a_model_whose_manifest_cannot_be_read(store: ModelFolder) -> None:
    weights_of(store, OLD).with_suffix(".json").write_text("{}")
    check_nobody_is_promoted_over_it(store)


def check_nobody_is_promoted_over_it(store: ModelFolder) -> None:
    """Who decides is unknown, so nothing was compared with it: first it is taken out of service, on purpose."""
    for report in (BETTER, passing(NEW)):
        with pytest.raises(CrpbotError, match="what decides by now cannot be read, so nothing was compared") as caught:
            store.promote(NEW.version, report)
        assert caught.value.detail.endswith("remedy: crpbot demote --symbol BTC-USD --model-type lstm")
    assert store.promoted()[BTC].fault is not None
    store.demote(BTC)
    store.promote(NEW.version, passing(NEW))
    assert promoted(store) == NEW.version


def in_a_child(work: Callable[[], object]) -> int:
    """Runs this in a process of its own, which may be killed; says how it ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# All by which a folder changes, as Python names it.
CHANGES = {"open", "write", "flush", "fsync", "replace", "rename", "unlink", "symlink", "mkdir", "flock", "close"}


def kill_before(step: int, work: Callable[[], object]) -> int:
    """kill -9 before the so many-th call to the operating system by which the folder changes."""
    seen = 0

    def look(_: FrameType, event: str, called: object) -> None:
        nonlocal seen
        if event == "c_call" and getattr(called, "__name__", "") in CHANGES:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        sys.setprofile(look)
        work()

    return in_a_child(watched)


def steps_of(work: Callable[[], object], check: Callable[[], object]) -> int:
    """Kills before every step in turn until the work is done; says how many there were."""
    step = 1
    while (status := kill_before(step, work)) == -signal.SIGKILL:
        check()
        step += 1
    assert status == 0
    return step


def test_killed_between_any_two_steps_of_saving_a_model_is_whole_or_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    found: list[int] = []

    def check() -> None:
        entries = ModelFolder(folder).entries()
        for entry in entries:
            assert ModelFolder(folder).load(entry.read().version)[1] == OLD_BLOB
        found.append(len(entries))
        if entries:
            for path in folder.iterdir():
                path.unlink()

    steps = steps_of(lambda: ModelFolder(folder).save(OLD, OLD_BLOB), check)
    assert steps > 15
    assert {0, 1} == set(found)
    check()


def test_killed_between_any_two_steps_of_a_promotion_the_old_or_the_new_decides(store: ModelFolder) -> None:
    found: list[str] = []

    def check() -> None:
        reader = ModelFolder(store._files.root)
        version = promoted(reader)
        assert reader.load(version)[0].version == version
        assert json.loads(reader.report(version).facts)["model"] == version
        assert reader.history(BTC)[-1].after == version
        assert reader.previous(BTC) == (OLD.version if version == NEW.version else None)
        found.append(version)
        if version == NEW.version:
            store.restore(OLD.version)

    steps = steps_of(lambda: ModelFolder(store._files.root).promote(NEW.version, BETTER), check)
    assert steps > 15
    assert set(found) == {OLD.version, NEW.version}
    assert promoted(store) == NEW.version
    assert not list(store._files.root.glob(".*.new"))


def test_a_full_disk_is_told_and_the_old_model_stays(store: ModelFolder) -> None:
    """A file may grow to 20,000 bytes in this process: the weights do not fit."""
    before = {path.name: path.lstat().st_mtime_ns for path in store._files.root.iterdir() if path.name != ".lock"}
    manifest, blob = make_model(seed=3)
    assert len(blob) > 20_000

    def save() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        with pytest.raises(CrpbotError, match=r"cannot be written \(File too large\); what was there is unchanged"):
            store.save(manifest, blob)

    assert in_a_child(save) == 0
    assert {
        path.name: path.lstat().st_mtime_ns for path in store._files.root.iterdir() if path.name != ".lock"
    } == before
    assert store.save(manifest, blob) == manifest.version


def test_readers_see_the_old_or_the_new_while_promotions_go_back_and_forth(store: ModelFolder) -> None:
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        reader = ModelFolder(store._files.root)
        while not done.is_set():
            version = promoted(reader)
            manifest, blob = reader.load(version)
            assert sha256(blob).hexdigest() == manifest.sha256
            seen.add(version)

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        store.promote(NEW.version, BETTER)
        for manifest in (OLD, NEW) * 10:
            store.restore(manifest.version)
        done.set()
        for reader in readers:
            reader.result()
    assert seen <= {OLD.version, NEW.version}


def test_two_who_save_at_once_both_keep_their_model(tmp_path: Path) -> None:
    models = [make_model(seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda model: ModelFolder(tmp_path).save(*model), models))
    assert {entry.read().version for entry in ModelFolder(tmp_path).entries()} == {model[0].version for model in models}
