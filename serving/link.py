"""The gateway's tie to Ray: attaches when the supervisor has a session up, lets go when it dies, attaches again."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from serving.deploy import NAMESPACE
from serving.handles import GroupCaller, ServeAnalysts
from serving.ray_private import by_value
from serving.session import Session, read_session

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.2
PROBE_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 5.0  # between two attempts on what should work and does not

Handles = dict[str, Any]  # Any: Ray's handles are untyped


class RayLink:
    """Runs beside the gateway for its whole life. Ray's calls that can block for long happen in a thread."""

    def __init__(self, analysts: ServeAnalysts, state_folder: Path) -> None:
        self._callers = analysts.callers
        self._state_folder = state_folder
        self._connected: str | None = None

    async def run(self) -> None:
        """Follows the session on record for ever. One sick group is tried again without touching the others."""
        while True:
            pause = POLL_SECONDS
            try:
                session = read_session(self._state_folder)
                if session is not None and session.deployed:
                    await self._follow(session)
            except Exception as error:  # noqa: BLE001  # whatever Ray raises, the gateway lives on and tries again
                logger.warning("not attached to Ray: %s: %s", type(error).__name__, error)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _follow(self, session: Session) -> None:
        ill = [caller for caller in self._callers if caller.needs_attaching]
        if session.id != self._connected or len(ill) == len(self._callers):
            await self._reconnect(session)
            ill = list(self._callers)
        if not ill:
            return
        handles = await asyncio.to_thread(_find, [caller.group.name for caller in ill])
        for caller in ill:
            await _attach(caller, handles[caller.group.name])

    async def _reconnect(self, session: Session) -> None:
        self._connected = None
        for handle in [caller.detach() for caller in self._callers]:
            if handle is not None:
                await _say_farewell(handle)
        await asyncio.to_thread(_connect, session)
        self._connected = session.id
        logger.info("connected to Ray at %s", session.address)


def _connect(session: Session) -> None:
    import ray

    try:
        ray.shutdown()
    except Exception as error:  # noqa: BLE001  # a connection to a dead cluster may fail to close; it is replaced anyway
        logger.info("the old connection did not close cleanly: %s", error)
    ray.init(address=session.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)


def _find(names: list[str]) -> Handles:
    """The handles of these groups. Asks the controller, and that can block: never call it in the event loop."""
    from ray import serve

    return {name: serve.get_deployment_handle(name, name) for name in names}


async def _attach(caller: GroupCaller, handle: Any) -> None:
    """Puts the handle to work in this event loop once an empty call has shown that it does."""
    working = by_value(handle)
    async with asyncio.timeout(PROBE_SECONDS):
        await working.analyze.remote([], (), PROBE_SECONDS)
    caller.attach(working)


async def _say_farewell(handle: Any) -> None:
    """Ends the handle's router, which would otherwise report its metrics ten times a second for ever."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            await handle.shutdown_async()
    except Exception as error:  # noqa: BLE001  # its cluster may be dead
        logger.info("a router did not end cleanly: %s: %s", type(error).__name__, error)
