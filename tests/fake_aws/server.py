"""An AWS on the loopback: moto's server, the gaps between it and life filled, faults on demand, every call recorded.

`with FakeAws(folder) as aws:` serves until it ends; `aws.environment` makes any program that uses boto3 speak to it,
and to nothing else. One at a time in a process, for moto's state is the process's.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.fake_aws.calls import Call, read_call
from tests.fake_aws.faults import Fault, Plan, Refusal, Wire
from tests.fake_aws.gaps import Gaps, Reply, backend, refuse

REGION = "us-east-1"
LAPTOP_KEY = "AKIALAPTOP0000000000"  # an access key's id as it looks, and no one's
SETTLE_SECONDS = 0.01
ENDED = ("shutting-down", "terminated")


class Instance(NamedTuple):
    """A machine as EC2 describes it."""

    id: str
    region: str
    state: str
    instance_type: str
    is_spot: bool
    profile: str
    on_shutdown: str  # terminate or stop
    private_ip: str
    zone: str
    user_data: str
    tags: Mapping[str, str]


class FakeAws:
    """What may change during a test are faults and machines; the rest is asked for over HTTP, as in life."""

    def __init__(self, folder: Path, *, region: str = REGION, pending: float = 0.2, ending: float = 0.5) -> None:
        """`pending` and `ending`: seconds until a machine runs and until it is gone; in life tens of seconds."""
        self.folder, self.region = folder, region
        self.calls: deque[Call] = deque(maxlen=100_000)
        self._plans: list[Plan] = []
        self._over = threading.Event()
        self._gaps = Gaps(self._ask_moto, pending_seconds=pending, ending_seconds=ending)
        self._moto: Any = None  # Any: a WSGI application
        self._server: Any = None  # Any: werkzeug's
        self._kept: dict[str, object] = {}
        self._open: set[tuple[str, int]] = set()  # who is connected

    def __enter__(self) -> Self:
        from moto import settings
        from moto.moto_api._internal.models import moto_api_backend
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
        from werkzeug.serving import make_server

        class Quiet(MotoRequestHandler):
            def log(self, *_: object) -> None:
                """Nothing: a test's output is for its own words."""

        moto_api_backend.reset()
        for name in ("ENABLE_AMI_VALIDATION", "EC2_ENABLE_INSTANCE_TYPE_VALIDATION"):  # as EC2 does
            self._kept[name] = getattr(settings, name)
            setattr(settings, name, True)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Quiet)
        self._server.daemon_threads = True  # one that hangs on purpose does not keep the process
        self._server.block_on_close = False
        self._count_connections()
        threading.Thread(target=self._server.serve_forever, daemon=True, name="fake-aws").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from moto import settings
        from moto.moto_api._internal.models import moto_api_backend

        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        for name, value in self._kept.items():
            setattr(settings, name, value)
        moto_api_backend.reset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Of the person's laptop. Nothing of the real user's, neither files nor keys, leaks in or out."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {
            **self.endpoint,
            "AWS_ACCESS_KEY_ID": LAPTOP_KEY,
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",  # moto checks no signature
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(home),
        }

    @property
    def endpoint(self) -> dict[str, str]:
        """What stands for the network: whoever has these variables reaches this AWS, and no other."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": str(self.folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "no-credentials"),
            "NO_PROXY": "127.0.0.1",
        }

    def plan(self, fault: Fault, action: str, *, times: int = 1, is_spot: bool | None = None) -> None:
        """The next calls of this action meet the fault. RunInstances: of all, or of one market only."""
        self._plans.append(Plan(fault, action, times, is_spot))

    def heal(self) -> None:
        """No more faults; who hangs stays so."""
        self._plans.clear()

    def asked(self, action: str) -> list[Call]:
        """The calls of this action."""
        return [each for each in self.calls if each.action == action]

    def instances(self, *, region: str | None = None) -> list[Instance]:
        """Every machine that ever was, in its order."""
        self._gaps.advance()
        place = region or self.region
        return [_describe(each, place) for each in backend("ec2", place).all_instances()]

    def alive(self) -> list[Instance]:
        """The machines that are neither gone nor going."""
        return [each for each in self.instances() if each.state not in ENDED]

    def volumes(self) -> list[str]:
        """The disks that are there."""
        self._gaps.advance()
        return sorted(backend("ec2", self.region).volumes)

    def end(self, ids: Iterable[str], *, reason: str = "") -> None:
        """AWS itself ends machines: spot capacity taken back, a host that failed, or their own `shutdown`."""
        self._gaps.end(self.region, list(ids))

    def stop(self, name: str) -> None:
        """A machine powers itself off whose shutdown means stop; its disk goes on costing."""
        backend("ec2", self.region).stop_instances([name])

    def pass_time(self) -> None:
        """So much that machines which begin run, and those which end are gone."""
        self._gaps.advance(at_once=True)

    def connected(self) -> frozenset[tuple[str, int]]:
        """Who is connected at this moment, by address."""
        return frozenset(self._open)

    def settle(self, *, besides: frozenset[tuple[str, int]]) -> None:
        """Waits until nobody is connected but those: then no call is open of a program that was killed."""
        with socket.create_connection(("127.0.0.1", self._server.server_port)) as last:
            own = last.getsockname()  # served in the order of their coming: whoever came before us is counted
            last.shutdown(socket.SHUT_WR)
            last.recv(1)
        while self._open - besides - {own}:
            time.sleep(SETTLE_SECONDS)

    def _count_connections(self) -> None:
        server, accept, serve = self._server, self._server.process_request, self._server.process_request_thread

        def accept_counted(request: socket.socket, address: tuple[str, int]) -> None:
            self._open.add(address)
            accept(request, address)  # begins a thread for the other

        def serve_counted(request: socket.socket, address: tuple[str, int]) -> None:
            try:
                serve(request, address)
            finally:
                self._open.discard(address)

        server.process_request, server.process_request_thread = accept_counted, serve_counted

    def _serve(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        call = read_call(environ)
        self.calls.append(call)
        fault = self._meet(call)
        if fault is Wire.HANG:
            self._over.wait()
        if fault in {Wire.HANG, Wire.DROP}:
            return _drop(environ)
        if isinstance(fault, Refusal):
            fault = fault.value
        status, headers, body = (
            self._gaps.answer(call, environ)
            if fault is None or isinstance(fault, Wire)
            else refuse(call.service, fault)
        )
        if fault is Wire.DROP_WHEN_DONE:
            return _drop(environ)
        start(status, headers)
        return [body]

    def _meet(self, call: Call) -> Fault | None:
        for plan in self._plans:
            if plan.left > 0 and plan.action == call.action and plan.is_spot in {None, call.is_spot}:
                plan.left -= 1
                return plan.fault
        return None

    def _ask_moto(self, environ: dict[str, Any]) -> Reply:
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self._moto(environ, lambda status, headers, _=None: begun.append((status, headers)))
        try:
            body = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return *begun[0], body


def _drop(environ: dict[str, Any]) -> Iterable[bytes]:
    """The connection ends without a word."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _describe(instance: Any, region: str) -> Instance:  # Any: moto is not typed
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    return Instance(
        id=instance.id,
        region=region,
        state=instance.state,
        instance_type=instance.instance_type,
        is_spot=instance.lifecycle == "spot",
        profile=association.iam_instance_profile.name if association else "",
        on_shutdown=instance.instance_initiated_shutdown_behavior,
        private_ip=instance.private_ip,
        zone=instance.availability_zone,
        user_data=instance.user_data.decode() if instance.user_data else "",
        tags={each["key"]: each["value"] for each in instance.get_tags()},
    )
