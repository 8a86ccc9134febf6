"""Draining: admit nobody new, move clients away, paced, and give the incarnation back once their keys are gone."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from gateway.admission import Admission
from gateway.door.listener import ClientListener
from gateway.lifecycle import SessionLifecycle
from gateway.registration.loop import RegistrationLoop
from gateway.sessions.index import Index
from gateway.sessions.pacing import request_reconnects
from gateway.sessions.session import Session, SessionConnection
from registry.store import StoreError

log = logging.getLogger(__name__)

MARK_WITHIN = 1.0  # seconds for the registry to be told
SLOWEST_PACE = 200.0  # clients a second
MOVE_WITHIN = 3.0  # seconds for a client that was told to connect elsewhere to do so, before it is closed
MOVE_SHARE = 0.3  # of the limit, at most


class Drain:
    """What a gateway does between a stop signal and its last client's close."""

    def __init__(
        self,
        listener: ClientListener,
        admission: Admission,
        close_waiting: Callable[[], None],
        lifecycle: SessionLifecycle,
        index: Index[Session],
        loop: RegistrationLoop,
        report: Callable[[], None],
        limit: float,
    ) -> None:
        """`close_waiting`: closes the clients that have no session yet.
        `report`: reports every push that waits for outcomes. `limit`: seconds for all clients to be gone."""
        self._report = report
        self._listener = listener
        self._admission = admission
        self._close_waiting = close_waiting
        self._lifecycle = lifecycle
        self._index = index
        self._loop = loop
        self._limit = limit

    async def run(self) -> None:
        """Clients are told in any case; the registry is told at the same time, if it answers."""
        log.info("draining", extra={"sessions": len(self._index.sessions)})
        self._admission.close()
        marking = asyncio.ensure_future(self._mark())
        try:
            async with asyncio.timeout(self._limit):
                self._listener.stop_listening()
                self._close_waiting()
                await self._move_clients()
                await request_reconnects(self._connections(), close=True)
                await self._lifecycle.wait_no_sessions()
        except TimeoutError:
            log.warning("some clients did not close in time", extra={"sessions": len(self._index.sessions)})
        self._report()  # pushes that waited for acks of clients that are gone: a cut stream would make them UNREACHABLE
        await marking
        await self._loop.end()

    async def _move_clients(self) -> None:
        """Tell the clients to connect elsewhere, and let those go by themselves that open the new connection first."""
        connections = self._connections()
        await request_reconnects(connections, self._pace(len(connections)), close=self._limit <= 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(MOVE_WITHIN, MOVE_SHARE * self._limit)):
                await self._lifecycle.wait_no_sessions()

    def _pace(self, connections: int) -> float | None:
        """Clients a second: all within half of the limit. None, as fast as it goes, when there is no time at all."""
        return max(SLOWEST_PACE, 2 * connections / self._limit) if self._limit > 0 else None

    def _connections(self) -> list[SessionConnection]:
        attached = (session.connection for session in self._index.sessions.values())
        return list(dict.fromkeys(connection for connection in attached if connection is not None))

    async def _mark(self) -> None:
        try:
            async with asyncio.timeout(MARK_WITHIN):
                await self._loop.drain()
        except (StoreError, TimeoutError) as error:
            log.warning("the registry could not be told of the drain: %s", str(error) or "no answer")
