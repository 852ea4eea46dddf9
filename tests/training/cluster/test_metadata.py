"""A machine learns its name, its address and its near end from the real protocol of EC2's metadata, tokens first."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from core.errors import Code, CrpbotError
from tests.fake_aws.metadata import FakeMetadata
from training.cluster.metadata import ENDPOINT_VARIABLE, TIMEOUT_VARIABLE, Metadata


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMetadata]:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "60")
    with FakeMetadata(instance_id="i-0a1b2c3d4e5f60718", is_spot=True, local_ipv4="10.0.3.7") as service:
        yield service


def test_a_machine_learns_its_name_and_where_others_reach_it(service: FakeMetadata) -> None:
    metadata = Metadata(service.url)
    assert metadata.instance_id() == "i-0a1b2c3d4e5f60718"
    assert metadata.private_address() == "10.0.3.7"


def test_one_token_serves_many_questions(service: FakeMetadata) -> None:
    metadata = Metadata(service.url)
    for _ in range(3):
        metadata.instance_id()
    assert service.asked.count("/latest/api/token") == 1


def test_a_token_that_is_no_longer_valid_is_replaced(service: FakeMetadata) -> None:
    metadata = Metadata(service.url)
    metadata.instance_id()
    service._tokens.clear()  # as after a restart of the service
    assert metadata.instance_id() == "i-0a1b2c3d4e5f60718"


def test_a_machine_that_may_stay_has_no_notice(service: FakeMetadata) -> None:
    assert Metadata(service.url).spot_notice() is None


def test_a_notice_says_what_happens_and_when(service: FakeMetadata) -> None:
    service.notice(seconds=120.0)
    notice = Metadata(service.url).spot_notice()
    assert notice is not None
    assert notice.action == "terminate"
    said = service.texts["meta-data/spot/termination-time"]
    assert notice.at == datetime.fromisoformat(said).timestamp()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"action": "terminate"}', '{"action": "a", "time": "soon"}'])
def test_a_notice_that_cannot_be_read_is_told_and_not_taken_for_none(service: FakeMetadata, text: str) -> None:
    service.texts["meta-data/spot/instance-action"] = text
    with pytest.raises(CrpbotError) as caught:
        Metadata(service.url).spot_notice()
    assert caught.value.reason == "NO_METADATA"


def test_the_variable_of_botocore_names_the_service(service: FakeMetadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT_VARIABLE, f"{service.url}/")
    assert Metadata().instance_id() == "i-0a1b2c3d4e5f60718"


def test_no_proxy_is_asked(service: FakeMetadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert Metadata(service.url).instance_id() == "i-0a1b2c3d4e5f60718"


def test_a_service_that_is_not_there_is_told_with_a_remedy() -> None:
    with pytest.raises(CrpbotError) as caught:
        Metadata("http://127.0.0.1:1").instance_id()
    assert caught.value.code is Code.UNAVAILABLE
    assert "remedy: run this on a machine of EC2" in caught.value.detail


def test_a_service_that_says_nothing_is_left_after_its_time(
    service: FakeMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.1")
    service.is_silent = True
    with pytest.raises(CrpbotError, match="timed out"):
        Metadata(service.url).instance_id()


def test_a_service_without_an_address_is_told(service: FakeMetadata) -> None:
    del service.texts["meta-data/local-ipv4"]
    with pytest.raises(CrpbotError, match="knows no local-ipv4"):
        Metadata(service.url).private_address()
