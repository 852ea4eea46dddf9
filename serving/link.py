"""The gateway's tie to Ray: attaches when the supervisor has a session up, lets go when it dies, attaches again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
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


class RayLink:
    """Runs beside the gateway for its whole life. Ray's calls that can block for long happen in a thread.

    The connection is judged by the analysts alone, which are asked all the time: models may go unasked for days. They
    come after the analysts, and only when somebody has asked for them: each handle is a burden for Ray's library when
    its cluster dies, and it was seen to end the process when several were made at once on a new connection.
    """

    def __init__(self, analysts: ServeAnalysts, state_folder: Path, models: Sequence[GroupCaller] = ()) -> None:
        self._analysts = analysts.callers
        self._callers = (*analysts.callers, *models)
        self._state_folder = state_folder
        self._connected: str | None = None
        self._connect_again_at = 0.0
        self._not_before: dict[str, float] = {}  # when a group that could not be attached is tried again
        self._tending: dict[str, asyncio.Task[None]] = {}  # groups that are being attached just now
        self._finding: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Follows the session on record for ever. One sick group is tried again without touching the others."""
        try:
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
        finally:
            self._stop_tending()

    async def _follow(self, session: Session) -> None:
        if session.id != self._connected or self._is_cut_off():
            await self._reconnect(session)
        is_settled = not all(caller.needs_attaching for caller in self._analysts)
        for caller in self._callers:
            is_its_turn = caller in self._analysts or (is_settled and caller.is_wanted and not self._tending)
            if is_its_turn and self._is_ill(caller):
                self._tending[caller.group.name] = asyncio.create_task(self._tend(caller))

    def _is_cut_off(self) -> bool:
        """Whether no analyst can be reached, and attaching them one by one was tried on this connection."""
        is_tried = not any(caller.group.name in self._tending for caller in self._analysts)
        is_due = self._connect_again_at <= asyncio.get_running_loop().time()
        return is_due and is_tried and all(caller.needs_attaching for caller in self._analysts)

    def _is_ill(self, caller: GroupCaller) -> bool:
        """Whether it must be attached, nobody is at it, and it is not to be left in peace for a while."""
        name = caller.group.name
        is_due = self._not_before.get(name, 0.0) <= asyncio.get_running_loop().time()
        return caller.needs_attaching and is_due and name not in self._tending

    async def _tend(self, caller: GroupCaller) -> None:
        """Attaches one group; what is in its way is no other group's trouble."""
        name = caller.group.name
        try:
            # a question to models that nobody asks yet would start their process
            await _attach(caller, await self._find(name), probe=caller in self._analysts or caller.has_failed)
        except Exception as error:  # noqa: BLE001  # whatever Ray raises: the next attempt is soon enough
            logger.warning("group %s is not attached: %s: %s", name, type(error).__name__, error)
            self._not_before[name] = asyncio.get_running_loop().time() + RETRY_SECONDS
        finally:
            if self._tending.get(name) is asyncio.current_task():
                del self._tending[name]

    async def _find(self, name: str) -> Any:  # Any: Ray's handles are untyped
        """A handle. The thread that asks for it cannot be stopped, so it is remembered until it has ended."""
        finding = asyncio.create_task(asyncio.to_thread(_find, name))
        self._finding.add(finding)
        finding.add_done_callback(self._finding.discard)
        return await asyncio.shield(finding)

    def _stop_tending(self) -> None:
        for task in self._tending.values():
            task.cancel()
        self._tending.clear()

    async def _reconnect(self, session: Session) -> None:
        self._connected = None
        self._stop_tending()
        self._not_before.clear()
        if self._finding:  # Ray's library must not be closed under a thread that is inside it
            await asyncio.wait(tuple(self._finding), timeout=RETRY_SECONDS)
        for handle in [caller.detach() for caller in self._callers]:
            if handle is not None:
                await _say_farewell(handle)
        await asyncio.to_thread(_connect, session)
        self._connected = session.id
        self._connect_again_at = asyncio.get_running_loop().time() + RETRY_SECONDS
        logger.info("connected to Ray at %s", session.address)


def _connect(session: Session) -> None:
    import ray

    try:
        ray.shutdown()
    except Exception as error:  # noqa: BLE001  # a connection to a dead cluster may fail to close; it is replaced anyway
        logger.info("the old connection did not close cleanly: %s", error)
    ray.init(address=session.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)


def _find(name: str) -> Any:  # Any: Ray's handles are untyped
    """The handle of a group. Asks the controller, and that can block: never call it in the event loop."""
    from ray import serve

    return serve.get_deployment_handle(name, name)


async def _attach(caller: GroupCaller, handle: Any, *, probe: bool) -> None:
    """Puts the handle to work in this event loop, with `probe` once an empty call has shown that it does."""
    working = by_value(handle)
    if probe:
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
