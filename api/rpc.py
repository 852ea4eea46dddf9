"""The gRPC face: the same desk, the same answers, the same errors as REST."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from api.border import choose_request_id
from api.errors import TABLE, to_rpc_status
from api.metrics import Metrics
from api.wire import from_message, to_message
from core.analysis import AnalyzeRequest, ListTheoriesRequest
from core.desk import Desk
from core.errors import Code, CrpbotError
from protos import crpbot_pb2

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_TIMEOUT_SECONDS: Final = 30.0
DESCRIPTOR: Final = crpbot_pb2.DESCRIPTOR.services_by_name["AnalysisService"]
SERVICE: Final[str] = DESCRIPTOR.full_name

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),  # a second server on our port must fail, not share it
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_time_ms", 60_000),  # silent connections are probed and closed
    ("grpc.keepalive_timeout_ms", 20_000),
)

Parsed = TypeVar("Parsed", bound=Message)


class AnalysisService:
    """Translates, calls the desk, translates back. Takes and gives bytes, so that parsing too is ours to answer for."""

    def __init__(self, desk: Desk, metrics: Metrics, *, default_timeout_seconds: float) -> None:
        self._desk = desk
        self._metrics = metrics
        self._default_timeout_seconds = default_timeout_seconds

    async def Analyze(self, request: bytes, context: Any) -> bytes:  # noqa: N802  # Any: grpc.aio is untyped
        async def work() -> Message:
            asked = from_message(parse(request, crpbot_pb2.AnalyzeRequest), AnalyzeRequest)
            response = await self._desk.analyze(asked, timeout_seconds=self._timeout(context))
            for analysis in response.analyses:
                for gap in analysis.missing:
                    self._metrics.count_missing(gap.theory, gap.reason)
            return to_message(response, crpbot_pb2.AnalyzeResponse)

        return await self._answer("Analyze", context, work)

    async def ListTheories(self, request: bytes, context: Any) -> bytes:  # noqa: N802
        async def work() -> Message:
            from_message(parse(request, crpbot_pb2.ListTheoriesRequest), ListTheoriesRequest)
            return to_message(self._desk.list_theories(), crpbot_pb2.ListTheoriesResponse)

        return await self._answer("ListTheories", context, work)

    def _timeout(self, context: Any) -> float:
        """The caller's deadline, or the server's default; never more than the maximum."""
        left = context.time_remaining()
        return self._default_timeout_seconds if left is None else min(left, MAX_TIMEOUT_SECONDS)

    async def _answer(self, operation: str, context: Any, work: Callable[[], Awaitable[Message]]) -> bytes:
        """Runs one call, counts it, and turns every failure into the one table's status."""
        started = time.perf_counter()
        status = "OK"
        request_id = choose_request_id(dict(context.invocation_metadata() or ()).get("x-request-id"))
        try:
            return (await work()).SerializeToString()
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
            self._metrics.observe("grpc", operation, status, time.perf_counter() - started)
        code, words, trailer = to_rpc_status(failure, request_id)
        await context.abort(code, words, trailer)
        raise AssertionError("abort always raises")


def parse(data: bytes, message_type: type[Parsed]) -> Parsed:
    """The bytes of a call as its message."""
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise CrpbotError(Code.MALFORMED, f"the bytes are no message: {error}", reason="MALFORMED_MESSAGE") from None


def create_server(desk: Desk, metrics: Metrics, *, default_timeout_seconds: float) -> tuple[Any, Any]:
    """The gRPC server with our service, health and reflection; and its health, to be set when readiness changes."""
    server = grpc.aio.server(options=OPTIONS)
    service = AnalysisService(desk, metrics, default_timeout_seconds=default_timeout_seconds)
    # not by the generated function: it parses before it calls us, and answers bytes that are no message with UNKNOWN
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(getattr(service, method.name)) for method in DESCRIPTOR.methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs do not know it
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, servicer
