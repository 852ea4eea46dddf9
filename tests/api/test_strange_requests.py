"""Whatever a machine invents for an operation, on either face over a real ledger, is answered or refused with words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
import schemathesis
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from api.operation import Operation
from api.rpc import service_descriptor
from core.adapters.ledger.migrations import upgrade
from tests.api.gateways import CLIENT_SECONDS, Running, all_operations, ask_for_results, running_gateway
from tests.api.test_mutated_requests import is_honest
from tests.operations import OPERATIONS

FEW, MANY = 4, 60
OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
ASKED = [each for each in OPERATIONS if not each.streams and each.rpc != "Analyze"]  # that one has a test of its own
counts = pytest.mark.parametrize(
    "count", [pytest.param(FEW, id="a few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("state")
    upgrade(f"sqlite:///{folder}/crpbot.db")
    with running_gateway(build=partial(all_operations, folder=Path(folder))) as gateway:
        ask_for_results(gateway)
        yield gateway


def within(count: int) -> settings:
    """As many as asked for, the same in every run."""
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@counts
def test_no_invented_body_or_parameter_finds_an_error_of_ours(full: Running, count: int) -> None:
    document = schemathesis.openapi.from_url(f"{full.rest.base_url}/openapi.json")
    statuses: Counter[int] = Counter()

    def send(case: Any) -> None:
        response = case.call(session=session, timeout=CLIENT_SECONDS)
        statuses[response.status_code] += 1
        assert is_honest(response, case), response.text

    with requests.Session() as session:
        session.trust_env = False
        for asked in ASKED:
            operation = document[asked.path][asked.verb]
            modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if has_fields(asked) else ()
            for mode in modes:
                within(count)(given(operation.as_strategy(generation_mode=mode))(send))()
    assert {200, 422} <= set(statuses), statuses
    full.assert_alive()


@counts
def test_no_invented_message_finds_an_error_of_ours(full: Running, count: int) -> None:
    codes: Counter[str] = Counter()

    for asked in ASKED:

        def send(request: Message, asked: Operation) -> None:
            code = outcome(full, asked, request)
            codes[code.name] += 1
            assert code not in OURS, (asked.rpc, request)

        described = service_descriptor(asked.service).methods_by_name[asked.rpc].input_type
        within(2 * count)(given(request=messages(described._concrete_class), asked=st.just(asked))(send))()
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(codes), codes
    full.assert_alive()


def outcome(full: Running, asked: Operation, request: Message) -> grpc.StatusCode:
    try:
        full.call(f"/crpbot.v1.{asked.service}/{asked.rpc}", request)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def has_fields(asked: Operation) -> bool:
    return bool(service_descriptor(asked.service).methods_by_name[asked.rpc].input_type.fields)


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of a kind: each field is left out or holds something likely, or something at the end of its range."""
    parts = {field.name: values(field) for field in kind.DESCRIPTOR.fields}
    return st.fixed_dictionaries({}, optional=parts).map(lambda chosen: kind(**chosen))


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """What a field may hold."""
    if field.message_type is not None:
        one: st.SearchStrategy[Any] = messages(field.message_type._concrete_class)
    elif field.enum_type is not None:
        one = st.integers(0, len(field.enum_type.values) - 1) | st.integers(-(2**31), 2**31 - 1)
    elif field.type == FieldDescriptor.TYPE_INT32:
        one = st.sampled_from([0, 1, -1, 999_999_999, 2**31 - 1, -(2**31)])
    elif field.type == FieldDescriptor.TYPE_INT64:
        one = st.sampled_from([0, 1, -1, 1_700_000_000, 2**31, 253402300799, 2**63 - 1, -(2**63)])
    else:
        likely = st.sampled_from(["BTC-USD", "paper", "100000", "1", "1e9", "-1", "0.00000001", "1e-30", "a\0b", "5m"])
        one = likely | st.text(max_size=300)
    return st.lists(one, max_size=3) if field.is_repeated else one
