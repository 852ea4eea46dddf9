"""Models in a bucket: whoever is killed or late leaves the old model or the new, and a bucket that is away is no fault
of a model."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.awsrequest import AWSPreparedRequest

from core.adapters.files.bucket import BucketFiles
from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.errors import Code, CrpbotError
from core.models.weighting import USUAL
from tests.core.adapters.test_model_folder_faults import in_a_child
from tests.core.buckets import BUCKET, BucketServer, refuse
from tests.core.model_cases import AT, DAY, make_model, passing
from tests.core.model_stores import BETTER, BTC, NEW, OLD, make_store, promoted


@pytest.fixture
def store(bucket: BucketFiles) -> ModelFolder:
    return make_store(bucket)


def promote_and_be_killed(url: str, step: int) -> int:
    """kill -9 before the so many-th request that changes the bucket; says how the process ended."""

    def work() -> None:
        files, seen = BucketFiles(url), 0

        def count(request: AWSPreparedRequest, **_: object) -> None:
            nonlocal seen
            seen += request.method in {"PUT", "DELETE"}
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

        files._client.meta.events.register("before-send.s3", count)
        ModelFolder(files).promote(NEW.version, BETTER)

    return in_a_child(work)


def test_killed_before_any_request_of_a_promotion_the_old_or_the_new_decides(
    store: ModelFolder, bucket: BucketFiles, bucket_server: BucketServer
) -> None:
    store.nominate(NEW.version)
    found: list[str] = []
    step = 1
    while (status := promote_and_be_killed(bucket.url, step)) == -signal.SIGKILL:
        reader = ModelFolder(BucketFiles(bucket.url))
        version = promoted(reader)
        found.append(version)
        assert reader.load(version)[0].version == version
        assert reader.history(BTC)[-1].after == version
        assert reader.previous(BTC) == (OLD.version if version == NEW.version else None)
        assert (BTC in reader.candidates()) == (version == OLD.version)
        bucket_server.client().delete_object(Bucket=BUCKET, Key="a/part/.lock")  # as if it had run out
        if version == NEW.version:
            store.restore(OLD.version)
            store.nominate(NEW.version)
        step += 1
    assert status == 0
    assert set(found) == {OLD.version, NEW.version}
    assert promoted(store) == NEW.version


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(store: ModelFolder, bucket: BucketFiles) -> None:
    third, blob = make_model(seed=3, created_at=AT + 12 * DAY)
    store.save(third, blob)

    def promote(version: str) -> str:
        manifest = NEW if version == NEW.version else third
        try:
            ModelFolder(BucketFiles(bucket.url)).promote(version, passing(manifest, champion=OLD.version))
        except CrpbotError as error:
            return error.detail
        return ""

    with ThreadPoolExecutor(2) as pool:
        told = dict(zip((NEW.version, third.version), pool.map(promote, (NEW.version, third.version)), strict=True))
    (winner,) = [version for version, words in told.items() if not words]
    (words,) = [words for words in told.values() if words]
    assert promoted(store) == winner
    assert f"by now {winner} decides, and it was judged against {OLD.version}" in words
    assert [each.after for each in store.history(BTC)] == [OLD.version, winner]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (refuse("SlowDown", "503 Slow Down"), Code.UNAVAILABLE),
        (refuse("AccessDenied"), Code.PERMISSION_DENIED),
        (refuse("ExpiredToken", "400 Bad Request"), Code.UNAUTHENTICATED),
        (refuse("NoSuchBucket", "404 Not Found"), Code.UNAVAILABLE),
    ],
)
def test_a_bucket_that_is_away_is_told_and_is_no_fault_of_a_model(
    fault: object, code: Code, store: ModelFolder, bucket: BucketFiles, bucket_server: BucketServer
) -> None:
    away = BucketFiles(bucket.url, attempts=1)
    lines = LinesFolder(away)
    known = store.promoted()
    reader = ModelFolder(away)
    assert set(reader.promoted()) == {BTC}
    store._files.point("lstm_BTC-USD_promoted.pt", f"lstm_BTC-USD_1m_{NEW.sha256[:8]}.pt")

    def only_content(environ: dict[str, object]) -> object:
        is_list = "list-type=2" in str(environ["QUERY_STRING"])
        return None if is_list else fault(environ)  # type: ignore[operator]

    for when in (only_content, fault):  # away between the list and what was new in it, and altogether
        bucket_server.fault = when  # type: ignore[assignment]
        with pytest.raises(CrpbotError) as caught:
            reader.promoted()
        assert caught.value.code is code
    with pytest.raises(CrpbotError):
        lines.lines(known, USUAL)
    bucket_server.fault = lambda _: None
    assert promoted(reader) == NEW.version


def test_a_look_at_a_bucket_where_nothing_changed_reads_no_content(
    store: ModelFolder, bucket: BucketFiles, bucket_server: BucketServer
) -> None:
    lines = LinesFolder(bucket)
    for look in range(2):
        bucket_server.requests.clear()
        lines.lines(store.promoted(), USUAL)
        assert store.candidates() == {}
        if look:
            assert bucket_server.requests == [("GET", f"/{BUCKET}")] * 3
