"""The gRPC face: the same operations, the same answers, the same errors as REST."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from api.border import choose_request_id
from api.errors import TABLE, to_rpc_status
from api.limits import check_request
from api.metrics import Metrics
from api.operation import LARGE_BYTES, MAX_TIMEOUT_SECONDS, Call, Operation, follow, perform
from api.wire import from_message, to_message, write_message
from core.errors import Code, CrpbotError
from protos import crpbot_pb2

logger = logging.getLogger(__name__)

MAX_METADATA_BYTES: Final = 16 * 1024
KEY_METADATA: Final = "idempotency-key"

OPTIONS: Final = (
    ("grpc.max_receive_message_length", LARGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),  # a second server on our port must fail, not share it
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_time_ms", 60_000),  # silent connections are probed and closed
    ("grpc.keepalive_timeout_ms", 20_000),
)

Parsed = TypeVar("Parsed", bound=Message)
Context = Any  # Any: grpc.aio is untyped


class Method:
    """One operation as gRPC calls it. Takes and gives bytes, so that parsing too is ours to answer for."""

    def __init__(
        self, operation: Operation, metrics: Metrics, *, default_timeout_seconds: float, closing: asyncio.Event
    ) -> None:
        self._operation = operation
        self._closing = closing
        self._metrics = metrics
        self._default_timeout_seconds = operation.patience_seconds or default_timeout_seconds
        described = service_descriptor(operation.service).methods_by_name[operation.rpc]
        self._request_type: type[Message] = described.input_type._concrete_class
        self._answer_type: type[Message] = described.output_type._concrete_class

    def handler(self) -> Any:  # Any: grpc's handlers are untyped
        """What the server calls."""
        if self._operation.streams:
            return grpc.unary_stream_rpc_method_handler(self.stream)
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, request: bytes, context: Context) -> bytes:
        """One request, one answer."""
        async with self._watched(context) as call:
            return await write_message(await perform(self._operation, self._read(request), call), self._answer_type)
        raise AssertionError("a failed call is aborted")

    async def stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """One request, answers for as long as the caller listens."""
        async with (
            self._watched(context) as call,
            contextlib.aclosing(follow(self._operation, self._read(request), call, self._closing)) as answers,
        ):
            async for answer in answers:
                yield to_message(answer, self._answer_type).SerializeToString()

    def _read(self, request: bytes) -> Any:  # Any: the operation's request
        if len(request) > self._operation.max_bytes:
            raise CrpbotError(
                Code.TOO_LARGE,
                f"the message is larger than {self._operation.max_bytes:,} bytes",
                reason="BODY_TOO_LARGE",
            )
        asked = from_message(parse(request, self._request_type), self._operation.request)
        check_request(asked)
        return asked

    @contextlib.asynccontextmanager
    async def _watched(self, context: Context) -> AsyncIterator[Call]:
        """Counts the call and turns every failure into the one table's status."""
        started = time.perf_counter()
        status = "OK"
        failure: CrpbotError | None = None
        metadata = dict(context.invocation_metadata() or ())
        request_id = choose_request_id(metadata.get("x-request-id"))
        left = context.time_remaining()
        seconds = self._default_timeout_seconds if left is None else min(left, MAX_TIMEOUT_SECONDS)
        try:
            yield Call(seconds, metadata.get(KEY_METADATA))
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        except CrpbotError as error:
            failure = error
            status = TABLE[error.code][1].name
        except Exception:  # the last line: a bug becomes an honest INTERNAL, its trace goes to the log
            logger.exception("request %s failed", request_id)
            failure = CrpbotError(Code.INTERNAL, "an error of ours; the log has it", reason="INTERNAL")
            status = "INTERNAL"
        finally:
            self._metrics.observe("grpc", self._operation.rpc, status, time.perf_counter() - started)
        if failure is not None:
            await _abort(context, failure, request_id)


async def _abort(context: Context, failure: CrpbotError, request_id: str) -> NoReturn:
    code, words, trailer = to_rpc_status(failure, request_id)
    await context.abort(code, words, trailer)
    raise AssertionError("abort always raises")


def parse(data: bytes, message_type: type[Parsed]) -> Parsed:
    """The bytes of a call as its message."""
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise CrpbotError(Code.MALFORMED, f"the bytes are no message: {error}", reason="MALFORMED_MESSAGE") from None


def service_descriptor(name: str) -> Any:  # Any: descriptors are untyped
    """A service as the contract declares it."""
    return crpbot_pb2.DESCRIPTOR.services_by_name[name]


def service_names(operations: Sequence[Operation]) -> list[str]:
    """The full names of the services, each once, in order."""
    return [service_descriptor(name).full_name for name in dict.fromkeys(each.service for each in operations)]


def create_server(
    operations: Sequence[Operation],
    metrics: Metrics,
    *,
    default_timeout_seconds: float,
    closing: asyncio.Event | None = None,
) -> tuple[Any, Any]:
    """The gRPC server with our services, health and reflection; and its health, to be set when readiness changes."""
    server = grpc.aio.server(options=OPTIONS)
    services: dict[str, dict[str, Any]] = {name: {} for name in service_names(operations)}
    for operation in operations:
        method = Method(
            operation, metrics, default_timeout_seconds=default_timeout_seconds, closing=closing or asyncio.Event()
        )
        services[service_descriptor(operation.service).full_name][operation.rpc] = method.handler()
    for name, methods in services.items():
        # not by the generated function: that parses before it calls us, and answers what is no message with UNKNOWN
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs do not know it
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = (*services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, servicer
