"""The gateway process: REST and gRPC in one event loop, started together, drained together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import uvicorn
from grpc_health.v1 import health_pb2

from api.border import Border
from api.http import PATIENCE, BoundedHttp, Patience
from api.metrics import Metrics
from api.operation import Operation
from api.readiness import Readiness
from api.rest import create_app
from api.rpc import create_server, service_names

logger = logging.getLogger(__name__)

NOTICE_SECONDS: Final = 1.0  # between "not ready" and closed doors, so that a balancer's probe sees it
DRAIN_SECONDS: Final = 15.0  # a request may take this long to finish; with the notice the exit stays under 20 s
HEALTH_SECONDS: Final = 0.5  # how often gRPC health follows readiness
KEEP_ALIVE_SECONDS: Final = 5
BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class Address:
    """Where a face listens. Port 0 takes a free one."""

    host: str
    port: int


class Gateway:
    """Both faces of the same operations. `run` ends when `stop` was called and the requests in flight are answered."""

    def __init__(
        self,
        operations: Sequence[Operation],
        *,
        readiness: Readiness,
        metrics: Metrics,
        http: Address,
        grpc: Address,
        timeout_seconds: float,
        patience: Patience = PATIENCE,
    ) -> None:
        self._readiness = readiness
        self._services = ("", *service_names(operations))
        self._stopping = asyncio.Event()
        self._closing = asyncio.Event()
        self._socket = bind(http)
        app = create_app(
            operations,
            readiness=readiness,
            metrics=metrics,
            default_timeout_seconds=timeout_seconds,
            patience=patience,
            closing=self._closing,
        )
        hosts = {"127.0.0.1", "localhost", http.host}
        config = uvicorn.Config(
            Border(app, hosts=hosts, metrics=metrics),
            http=partial(BoundedHttp, patience=patience),  # type: ignore[arg-type]  # called like the class
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(DRAIN_SECONDS),
        )
        self._http = _QuietServer(config)
        self._grpc, self._grpc_health = create_server(
            operations, metrics, default_timeout_seconds=timeout_seconds, closing=self._closing
        )
        self.http_port: int = self._socket.getsockname()[1]
        self.grpc_port: int = self._grpc.add_insecure_port(f"{grpc.host}:{grpc.port}")

    def stop(self) -> None:
        """Begins the drain: not ready at once, doors closed after the notice, then the requests in flight finish."""
        self._readiness.draining = True
        self._stopping.set()

    async def run(self) -> None:
        """Serves until stopped. A face that ends by itself ends the gateway with its error: better none than half."""
        await self._grpc.start()
        http = asyncio.create_task(self._http.serve(sockets=[self._socket]))
        health = asyncio.create_task(self._follow_readiness())
        logger.info("serving REST on port %d and gRPC on port %d", self.http_port, self.grpc_port)
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({http, health, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self.stop()
        await stopping
        await self._grpc_health.enter_graceful_shutdown()
        await asyncio.sleep(NOTICE_SECONDS)
        health.cancel()
        self._closing.set()  # streams would never end by themselves
        self._http.should_exit = True
        await asyncio.gather(http, self._grpc.stop(DRAIN_SECONDS))
        with contextlib.suppress(asyncio.CancelledError):
            await health
        logger.info("drained")

    async def _follow_readiness(self) -> None:
        """gRPC health says what /health/ready says."""
        while True:
            ready = (await self._readiness.check()).ready
            status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
            for service in self._services:
                await self._grpc_health.set(service, status)
            await asyncio.sleep(HEALTH_SECONDS)


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has one owner of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(address: Address) -> socket.socket:
    """A listening socket that no second server can share."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address.host, address.port))
    listener.listen(BACKLOG)  # from here on a client waits instead of being refused
    listener.setblocking(False)
    return listener
