"""Models in a bucket: a server follows it, and one whose bucket goes away keeps those that speak and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core.adapters.files.places import open_files
from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.settings.declared import Settings
from serving.ensemble import build_models
from serving.lineup import LineupWatcher
from tests.core.buckets import BUCKET, BucketServer, refuse, serving_bucket, use_bucket
from tests.core.model_stores import BETTER, NEW, OLD, make_store
from tests.core.virtual_time import until
from tests.serving.fake_models import FakeReplicas, speaks

URL = f"s3://{BUCKET}/models"
HANGS_SECONDS = 300.0  # a guard against waiting for ever; two busy cores take a fraction of it


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with serving_bucket() as found:
        yield found


@pytest.fixture
def store(server: BucketServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelFolder:
    use_bucket(server, monkeypatch, tmp_path)
    return make_store(open_files(URL))


async def test_a_bucket_that_goes_away_leaves_who_speaks_and_is_named(store: ModelFolder, server: BucketServer) -> None:
    files = open_files(URL)
    watcher = LineupWatcher(ModelFolder(files), LinesFolder(files), FakeReplicas().try_out, poll_seconds=0.01)
    task = asyncio.create_task(watcher.run())
    try:
        await until(lambda: speaks(watcher, OLD.version))
        server.fault = refuse("AccessDenied")
        told = ""
        async with asyncio.timeout(HANGS_SECONDS):
            while "AWS does not allow" not in told:
                assert not task.done(), "nobody follows the bucket any more"
                await asyncio.sleep(0.01)
                told = await watcher.problem() or ""
        assert f"{URL}: AWS does not allow ListObjectsV2; remedy: the rights in docs/models.md" in told
        assert watcher.lineup().versions == (OLD.version,)
        server.fault = lambda _: None
        await asyncio.to_thread(store.promote, NEW.version, BETTER)
        await until(lambda: speaks(watcher, NEW.version))
        assert await watcher.problem() is None
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_server_looks_at_a_folder_each_second_and_at_a_bucket_each_half_minute(store: ModelFolder) -> None:
    for url, seconds, place in (("data/models", 1.0, "model folder"), (URL, 30.0, "models' place")):
        settings = Settings.model_validate({"models": {"url": url}, "serving": {"mode": "inprocess"}})
        watcher = build_models(settings).watcher
        assert watcher._poll_seconds == seconds
        assert f"nobody watches the {place};" in (await watcher.problem() or "")
