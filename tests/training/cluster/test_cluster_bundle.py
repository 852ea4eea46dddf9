"""The code that machines get: the same bytes each time, all that they import, and nothing else."""

import ast
import io
import os
import shutil
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from core.errors import CrpbotError
from training.cluster.bundle import BESIDE, CHECKOUT, PACKAGES, code_key, pack_code

OURS = ("api", "cli", "client", "core", "protos", "serving", "tests", "training")
PROGRAMS = ("head", "worker", "job")


@pytest.fixture(scope="module")
def packed() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(pack_code()[0]))


def small_checkout(folder: Path) -> Path:
    for name in BESIDE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("")
    return folder


def test_the_same_files_are_the_same_bytes_whenever_and_wherever_they_lie(tmp_path: Path) -> None:
    first = small_checkout(tmp_path / "one")
    second = Path(shutil.copytree(first, tmp_path / "two"))
    for path in second.rglob("*"):
        os.utime(path, (1.0, 1.0))
        path.chmod(0o700)
    content, sha = pack_code(first)
    assert pack_code(second) == (content, sha)
    assert sha == sha256(content).hexdigest()
    assert code_key(sha) == f"code/{sha}.zip"
    (second / "core" / "more.py").write_text("x = 1\n")
    assert pack_code(second)[1] != sha


def test_nothing_but_programs_and_their_tables_goes_in(tmp_path: Path) -> None:
    root = small_checkout(tmp_path)
    for name in (
        "core/.env",
        "core/candles.parquet",
        "core/.hidden/x.py",
        "core/__pycache__/x.py",
        "training/keys.pem",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("SECRET=1")
    (root / ".env").write_text("SECRET=1")
    (root / "core" / "elsewhere.py").symlink_to("/etc/passwd")
    names = zipfile.ZipFile(io.BytesIO(pack_code(root)[0])).namelist()
    assert set(names) == {*BESIDE, *(f"{package}/__init__.py" for package in PACKAGES)}


def test_it_is_small_and_has_neither_tests_nor_candles(packed: zipfile.ZipFile) -> None:
    assert sum(each.compress_size for each in packed.infolist()) < 2_000_000
    tops = {name.split("/")[0] for name in packed.namelist()}
    assert tops == {"core", "training", "scripts", "pyproject.toml", "requirements.lock", "requirements-torch.txt"}
    assert "training/cluster/boot.sh" in packed.namelist()
    assert not [name for name in packed.namelist() if ".env" in name or name.endswith((".parquet", ".pem"))]


def test_all_that_head_worker_and_job_import_is_in_it(packed: zipfile.ZipFile) -> None:
    inside, seen = set(packed.namelist()), set[str]()
    waiting = [f"training.cluster.{name}" for name in PROGRAMS]
    while waiting:
        module = waiting.pop()
        if module in seen or module.split(".")[0] not in OURS:
            continue
        seen.add(module)
        path = module.replace(".", "/")
        if f"{path}.py" not in inside and f"{path}/__init__.py" not in inside:
            assert (CHECKOUT / path).is_dir() is False, f"{module} is not in the bundle"
            assert f"{path.rpartition('/')[0]}.py" in inside or f"{path.rpartition('/')[0]}/__init__.py" in inside, (
                module
            )
            continue  # a name within a module
        file = f"{path}.py" if f"{path}.py" in inside else f"{path}/__init__.py"
        for node in ast.walk(ast.parse(packed.read(file))):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    assert len(seen) > 30


def test_where_there_is_no_checkout_it_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError, match=r"has no pyproject.toml; remedy: run crpbot from a checkout") as caught:
        pack_code(tmp_path)
    assert caught.value.reason == "NOT_A_CHECKOUT"


def test_a_large_file_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    root = small_checkout(tmp_path)
    (root / "core" / "noise.json").write_bytes(os.urandom(8_100_000))
    with pytest.raises(CrpbotError, match=r"the limit is 8,000,000; remedy: take large files"):
        pack_code(root)
