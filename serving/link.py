"""The gateway's tie to Ray: attaches when the supervisor has a session up, lets go when it dies, attaches again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

from serving.deploy import NAMESPACE
from serving.handles import BREAKER_FAILURES, GroupCaller, ServeAnalysts
from serving.ray_private import by_value
from serving.session import Session, read_session

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2
PROBE_SECONDS: Final = 5.0
REATTACH_SECONDS: Final = 5.0  # between two attempts on a session that should work and does not


class RayLink:
    """Runs beside the gateway for its whole life. Ray's own calls block, so they happen in a thread."""

    def __init__(self, analysts: ServeAnalysts, state_folder: Path) -> None:
        self._analysts = analysts
        self._state_folder = state_folder
        self._attached: str | None = None

    async def run(self) -> None:
        """Follows the session on record for ever."""
        while True:
            session = read_session(self._state_folder)
            if session is not None and session.deployed and self._must_attach(session):
                try:
                    await self._attach(session)
                except Exception as error:  # noqa: BLE001  # whatever Ray raises, the gateway lives on and tries again
                    logger.warning("cannot attach to Ray at %s: %s", session.address, error)
                    self._detach()
                    await asyncio.sleep(REATTACH_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    def _must_attach(self, session: Session) -> bool:
        broken = any(caller.failures >= BREAKER_FAILURES for caller in self._analysts.callers)
        return broken or self._attached != session.id

    async def _attach(self, session: Session) -> None:
        self._detach()
        await asyncio.to_thread(_connect, session)
        for caller in self._analysts.callers:
            await _attach_group(caller)
        self._attached = session.id
        logger.info("attached to Ray at %s", session.address)

    def _detach(self) -> None:
        self._attached = None
        for caller in self._analysts.callers:
            caller.detach()


def _connect(session: Session) -> None:
    import ray

    with contextlib.suppress(Exception):  # an old connection to a dead cluster may fail to close; it is replaced anyway
        ray.shutdown()
    ray.init(address=session.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)


async def _attach_group(caller: GroupCaller) -> None:
    """A handle in this event loop, shown to work by an empty call."""
    from ray import serve

    handle = by_value(serve.get_deployment_handle(caller.group.name, caller.group.name))
    async with asyncio.timeout(PROBE_SECONDS):
        await handle.analyze.remote([], (), PROBE_SECONDS)
    caller.attach(handle)
