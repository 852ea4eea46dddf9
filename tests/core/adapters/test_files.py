"""A folder and a bucket keep the same promises: whole or not there, one at a time, and every failure in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from wsgiref.types import WSGIEnvironment

import pytest

from core.adapters.files.bucket import BucketFiles
from core.adapters.files.bucket_lease import LEASE_SECONDS
from core.adapters.files.folder import FolderFiles
from core.adapters.files.places import open_files
from core.errors import Code, CrpbotError
from core.files import Files
from tests.core.buckets import BUCKET, BucketServer, Fault, refuse

URL = f"s3://{BUCKET}/a/part"
CONFLICT = ("409 Conflict", b"<Error><Code>ConditionalRequestConflict</Code></Error>")


@pytest.fixture
def server(bucket_server: BucketServer) -> BucketServer:
    return bucket_server


def test_what_is_written_is_read_and_replaced_and_taken_away(files: Files) -> None:
    assert files.stamps() == {}
    files.write("jobs/one/order.json", b"first")
    assert files.read("jobs/one/order.json", most=5) == b"first"
    files.write("jobs/one/order.json", b"")
    assert files.read("jobs/one/order.json", most=5) == b""
    files.remove("jobs/one/order.json")
    files.remove("jobs/one/order.json")
    assert files.stamps() == {}


def test_what_is_not_there_or_too_large_is_told(files: Files) -> None:
    with pytest.raises(CrpbotError, match=r"^order\.json is missing$") as caught:
        files.read("jobs/order.json", most=5)
    assert caught.value.code is Code.NOT_FOUND
    files.write("jobs/order.json", b"123456")
    with pytest.raises(CrpbotError, match=r"^order\.json has more than 5 bytes$") as caught:
        files.read("jobs/order.json", most=5)
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_names_are_listed_in_order_below_what_is_asked_for(files: Files) -> None:
    for name in ("b", "a/c", "a/b/d", "ab", "a.b"):
        files.write(name, b"x")
    assert list(files.stamps()) == ["a.b", "a/b/d", "a/c", "ab", "b"]
    assert list(files.stamps("a/")) == ["a/b/d", "a/c"]
    assert list(files.stamps("a")) == ["a.b", "a/b/d", "a/c", "ab"]
    assert list(files.stamps("a", deep=False)) == ["a.b", "ab"]
    assert list(files.stamps("a/", deep=False)) == ["a/c"]
    assert list(files.stamps("z/y/")) == []


def test_a_stamp_changes_with_the_content_and_not_without(files: Files) -> None:
    files.write("a", b"one")
    files.write("b", b"one")
    before = files.stamps()
    assert files.stamps() == before
    files.write("a", b"two")
    after = files.stamps()
    assert (after["a"] == before["a"], after["b"] == before["b"]) == (False, True)


def test_more_names_than_one_page_are_listed(bucket: BucketFiles, server: BucketServer) -> None:
    def two_a_page(environ: WSGIEnvironment) -> None:
        environ["QUERY_STRING"] += "&max-keys=2"

    for name in "abcde":
        bucket.write(name, b"")
    server.requests.clear()
    server.fault = two_a_page
    assert list(bucket.stamps()) == list("abcde")
    assert len(server.requests) == 3


def test_of_two_who_create_at_once_one_does(files: Files) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: files.create("jobs/one", str(number).encode()), range(4)))
    assert sorted(made) == [False, False, False, True]
    assert files.read("jobs/one", most=9) == str(made.index(True)).encode()


def test_a_pointer_leads_to_a_name_there_or_not(files: Files) -> None:
    files.point("models/now.pt", "old.pt")
    files.point("models/now.pt", "new.pt")
    assert files.target("models/now.pt") == "new.pt"
    assert list(files.stamps("models/")) == ["models/now.pt"]
    before = files.stamps()
    files.point("models/now.pt", "old.pt")
    assert files.stamps() != before
    files.remove("models/now.pt")
    with pytest.raises(CrpbotError, match=r"now\.pt is missing"):
        files.target("models/now.pt")
    files.write("models/now.pt", b"\xff" * 600)
    with pytest.raises(CrpbotError, match=r"now\.pt is no link") as caught:
        files.target("models/now.pt")
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_when_something_was_changed_is_known(files: Files) -> None:
    assert files.changed("a") is None
    files.write("a", b"x")
    found = files.changed("a")
    assert found is not None
    assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "../a", "a/../b", "a//b", "a/./b", "a\\b", "a\0", ".lock", "a/.x.new"]
)
def test_a_name_that_leads_out_or_is_needed_is_refused(name: str, files: Files) -> None:
    for act in (lambda: files.write(name, b""), lambda: files.read(name, most=1), lambda: files.remove(name)):
        with pytest.raises(CrpbotError, match="name: ") as caught:
            act()
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_one_at_a_time_is_alone(files: Files) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with open_files(files.url).alone():
            inside.append(number)
            most.append(len(inside))
            files.write(f"of-{number}", b"")
            inside.remove(number)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert most == [1, 1, 1]
    assert list(files.stamps()) == ["of-0", "of-1", "of-2"]


def test_an_error_inside_lets_the_next_one_in(files: Files) -> None:
    with pytest.raises(ZeroDivisionError), files.alone():
        raise ZeroDivisionError
    with files.alone():
        files.write("a", b"")


def test_whoever_finds_it_taken_for_too_long_is_told_by_whom(bucket: BucketFiles) -> None:
    with bucket.alone(), pytest.raises(CrpbotError, match=r"is being changed by .*, process \d+ for 0 s") as caught:
        BucketFiles(URL, patience=0.0).alone().__enter__()
    assert caught.value.code is Code.ABORTED


def test_the_lease_of_one_who_was_killed_runs_out_by_the_clock_of_the_bucket(
    bucket: BucketFiles, server: BucketServer
) -> None:
    killed = bucket.alone()
    killed.__enter__()
    server.ahead = timedelta(seconds=LEASE_SECONDS - 60)
    with pytest.raises(CrpbotError, match="is being changed by"):
        BucketFiles(URL, patience=0.0).alone().__enter__()
    server.ahead = timedelta(seconds=LEASE_SECONDS + 2)
    with BucketFiles(URL, patience=0.0).alone():
        pass


def test_who_was_overtaken_writes_nothing_more(bucket: BucketFiles, server: BucketServer) -> None:
    with bucket.alone():
        bucket.write("a", b"first")
        server.ahead = timedelta(seconds=LEASE_SECONDS + 2)
        other = BucketFiles(URL, patience=0.0)
        with other.alone():
            other.write("a", b"of the other")
            for act in (
                lambda: bucket.write("a", b"late"),
                lambda: bucket.create("b", b""),
                lambda: bucket.remove("a"),
                lambda: bucket.point("c", "a"),
            ):
                with pytest.raises(CrpbotError, match="another took s3://crpbot-test/a/part over") as caught:
                    act()
                assert caught.value.code is Code.ABORTED
            other.write("a", b"of the other again")
    assert {name: bucket.read(name, most=99) for name in bucket.stamps()} == {"a": b"of the other again"}


def test_a_lease_that_is_damaged_or_was_taken_away_is_held_by_nobody(bucket: BucketFiles, server: BucketServer) -> None:
    for content in (b"", b"[]", b"{"):
        server.client().put_object(Bucket=BUCKET, Key="a/part/.lock", Body=content)
        with bucket.alone():
            bucket.write("a", content)
    with bucket.alone():
        server.client().delete_object(Bucket=BUCKET, Key="a/part/.lock")
        with pytest.raises(CrpbotError, match="another took"):
            bucket.write("a", b"late")


def first_put(name: str) -> Callable[[WSGIEnvironment], bool]:
    """Once, the first write of that name."""
    seen: list[str] = []

    def is_it(environ: WSGIEnvironment) -> bool:
        if environ["REQUEST_METHOD"] != "PUT" or not environ["PATH_INFO"].endswith(name) or seen:
            return False
        seen.append(name)
        return True

    return is_it


def test_a_write_whose_answer_was_lost_is_known_as_ours(bucket: BucketFiles, server: BucketServer) -> None:
    server.lost = first_put("/job")
    assert bucket.create("job", b"of ours")
    assert not bucket.create("job", b"of ours")
    server.lost = first_put("/.lock")
    with bucket.alone():
        server.lost = first_put("/.lock")
        bucket.write("job", b"later")
    assert bucket.read("job", most=9) == b"later"


def test_of_two_who_create_in_the_same_instant_whoever_is_told_to_ask_again_does(
    bucket: BucketFiles, server: BucketServer
) -> None:
    first = first_put("/job")
    server.fault = lambda environ: CONFLICT if first(environ) else None
    assert bucket.create("job", b"of ours")
    assert bucket.read("job", most=9) == b"of ours"


def test_every_object_is_encrypted_where_it_lies(bucket: BucketFiles, server: BucketServer) -> None:
    with bucket.alone():
        bucket.write("a", b"")
        bucket.point("b", "a")
        bucket.create("c", b"")
    for name in ("a", "b", "c", ".lock"):
        found = server.client().head_object(Bucket=BUCKET, Key=f"a/part/{name}")
        assert found["ServerSideEncryption"] == "AES256"


def test_what_half_a_minute_of_looking_costs_is_one_list(bucket: BucketFiles, server: BucketServer) -> None:
    bucket.stamps(deep=False)
    assert server.requests == [("GET", f"/{BUCKET}")]
    assert (bucket.look_seconds, FolderFiles(Path()).look_seconds) == (30.0, 1.0)


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (
            refuse("AccessDenied"),
            Code.PERMISSION_DENIED,
            r"AWS does not allow .*; remedy: the rights in docs/models\.md",
        ),
        (refuse("InvalidAccessKeyId"), Code.UNAUTHENTICATED, r"does not know who asks \(InvalidAccessKeyId\); remedy"),
        (refuse("ExpiredToken", "400 Bad Request"), Code.UNAUTHENTICATED, "remedy: aws configure"),
        (refuse("NoSuchBucket", "404 Not Found"), Code.UNAVAILABLE, "there is no bucket crpbot-test; remedy"),
        (refuse("SlowDown", "503 Slow Down"), Code.UNAVAILABLE, "S3 answers SlowDown .*; remedy"),
    ],
)
def test_what_s3_refuses_is_one_sentence_with_its_remedy(
    answer: Fault, code: Code, words: str, bucket: BucketFiles, server: BucketServer
) -> None:
    server.fault = answer
    bucket = BucketFiles(URL, attempts=1)
    for act in (bucket.stamps, lambda: bucket.read("a", most=1), lambda: bucket.write("a", b"")):
        with pytest.raises(CrpbotError, match=words) as caught:
            act()
        assert caught.value.code is code
        assert "testing" not in caught.value.detail


def test_without_credentials_and_without_an_answer_the_remedy_is_told(
    bucket: BucketFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the port of "discard", where nobody listens
    with pytest.raises(CrpbotError, match=r"does not answer .* remedy: the network") as caught:
        BucketFiles(URL, attempts=1).stamps()
    assert caught.value.code is Code.UNAVAILABLE
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CrpbotError, match="AWS does not know who asks; remedy: aws configure") as caught:
        BucketFiles(URL).stamps()
    assert caught.value.code is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3://",
        "s3://AB/c",
        "s3://key:secret@bucket/a",
        "s3://bucket/a?b",
        "s3://bucket/a/../b",
        "https://x/y",
        "s3:///a",
    ],
)
def test_what_is_no_place_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(CrpbotError, match=r"^url: ") as caught:
        open_files(url)
    assert "secret" not in caught.value.detail


def test_a_place_is_written_as_people_write_it(tmp_path: Path) -> None:
    assert [open_files(url).url for url in ("s3://bucket", "s3://bucket/", "s3://bucket/a/b/", str(tmp_path))] == [
        "s3://bucket",
        "s3://bucket",
        "s3://bucket/a/b",
        str(tmp_path),
    ]


def test_a_whole_bucket_is_a_place(bucket: BucketFiles) -> None:
    bucket.write("a", b"x")
    assert BucketFiles(f"s3://{BUCKET}").stamps() == {"a/part/a": bucket.stamps()["a"]}
