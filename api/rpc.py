"""The gRPC face: the same desk, the same answers, the same errors as REST."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from api.border import choose_request_id
from api.errors import TABLE, to_rpc_status
from api.metrics import Metrics
from api.wire import from_message, to_message
from core.analysis import AnalyzeRequest, ListTheoriesRequest
from core.desk import Desk
from core.errors import Code, CrpbotError
from protos import crpbot_pb2, crpbot_pb2_grpc

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_TIMEOUT_SECONDS: Final = 30.0
SERVICE: Final = crpbot_pb2.DESCRIPTOR.services_by_name["AnalysisService"].full_name

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.so_reuseport", 0),  # a second server on our port must fail, not share it
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_time_ms", 60_000),  # silent connections are probed and closed
    ("grpc.keepalive_timeout_ms", 20_000),
)

Answer = TypeVar("Answer")


class AnalysisService(crpbot_pb2_grpc.AnalysisServiceServicer):
    """Translates, calls the desk, translates back."""

    def __init__(self, desk: Desk, metrics: Metrics, *, default_timeout_seconds: float) -> None:
        self._desk = desk
        self._metrics = metrics
        self._default_timeout_seconds = default_timeout_seconds

    async def Analyze(self, request: Message, context: Any) -> Message:  # noqa: N802  # Any: grpc.aio is untyped
        async def work() -> Message:
            asked = from_message(request, AnalyzeRequest)
            response = await self._desk.analyze(asked, timeout_seconds=self._timeout(context))
            for analysis in response.analyses:
                for gap in analysis.missing:
                    self._metrics.count_missing(gap.theory, gap.reason)
            return to_message(response, crpbot_pb2.AnalyzeResponse)

        return await self._answer("Analyze", context, work)

    async def ListTheories(self, request: Message, context: Any) -> Message:  # noqa: N802
        async def work() -> Message:
            from_message(request, ListTheoriesRequest)
            return to_message(self._desk.list_theories(), crpbot_pb2.ListTheoriesResponse)

        return await self._answer("ListTheories", context, work)

    def _timeout(self, context: Any) -> float:
        """The caller's deadline, or the server's default; never more than the maximum."""
        left = context.time_remaining()
        return self._default_timeout_seconds if left is None else min(left, MAX_TIMEOUT_SECONDS)

    async def _answer(self, operation: str, context: Any, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Runs one call, counts it, and turns every failure into the one table's status."""
        started = time.perf_counter()
        status = "OK"
        request_id = choose_request_id(dict(context.invocation_metadata() or ()).get("x-request-id"))
        try:
            return await work()
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


def create_server(desk: Desk, metrics: Metrics, *, default_timeout_seconds: float) -> tuple[Any, Any]:
    """The gRPC server with our service, health and reflection; and its health, to be set when readiness changes."""
    server = grpc.aio.server(options=OPTIONS)
    service = AnalysisService(desk, metrics, default_timeout_seconds=default_timeout_seconds)
    crpbot_pb2_grpc.add_AnalysisServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, servicer
