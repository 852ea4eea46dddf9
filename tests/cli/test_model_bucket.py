"""The commands on models find them in a bucket, by the setting or by `--models`, and nothing of them on this disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.adapters.files.folder import FolderFiles
from core.adapters.files.places import open_files
from core.errors import Code, CrpbotError
from tests.cli.test_model_commands import told
from tests.cli.test_training import ask, keep, refusal
from tests.core.buckets import BUCKET, BucketServer, refuse, serving_bucket, use_bucket

URL = f"s3://{BUCKET}/desk"


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with serving_bucket() as found:
        yield found


@pytest.fixture
def version(empty_folder: Path, server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that was judged, in the bucket alone."""
    use_bucket(server, monkeypatch, empty_folder)
    manifest = keep(empty_folder / "elsewhere")
    here, there = FolderFiles(empty_folder / "elsewhere/data/models"), open_files(URL)
    for name in here.stamps():
        there.write(name, here.read(name, most=10_000_000))
    return manifest.version


def test_a_model_of_the_bucket_is_promoted_listed_and_demoted(
    version: str, empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_URL", URL)
    assert ask("promote", version)["version"] == version
    found = ask("models", "list")
    assert (found["folder"], found["faults"]) == (URL, [])
    assert [(each["version"], each["state"], each["verdict"]) for each in found["models"]] == [
        (version, "promoted", "pass")
    ]
    assert ask("models", "show", version)["report"] == f"{URL}/reports/{version}.html"
    assert version in told("models")
    assert ask("demote", "--symbol", "BTC")["version"] == version
    assert ask("rollback", "--coin", "BTC")["version"] == version
    assert not (empty_folder / "data").exists()


def test_an_option_names_the_bucket_and_every_command_that_is_advised_repeats_it(
    version: str, empty_folder: Path
) -> None:
    assert ask("models", "list")["models"] == []
    assert [each["version"] for each in ask("models", "list", "--models", URL)["models"]] == [version]
    open_files(URL).remove(f"reports/{version}.html")
    assert f"--models {URL}`" in refusal("promote", version, "--models", URL)
    assert not (empty_folder / "data").exists()


def test_a_bucket_that_refuses_is_told_and_is_no_empty_one(
    version: str, server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_URL", URL)
    server.fault = refuse("AccessDenied")
    for words in (["models", "list"], ["promote", version], ["demote"]):
        with pytest.raises(CrpbotError, match="AWS does not allow") as caught:
            told(*words)
        assert caught.value.code is Code.PERMISSION_DENIED


def test_an_address_with_a_key_in_it_is_refused_and_not_repeated(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "neither" not in version
    for url in ("s3://id:verysecret@bucket/x", "https://id:verysecret@host/x"):
        assert "verysecret" not in refusal("models", "list", "--models", url)
        monkeypatch.setenv("ARTIFACT_URL", url)
        said = refusal("models", "list")
        assert "ARTIFACT_URL" in said
        assert "verysecret" not in said
        monkeypatch.delenv("ARTIFACT_URL")
