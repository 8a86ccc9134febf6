"""Clients without a subprotocol: nothing is said to them but data, and they cannot move before their gateway closes.

Who observes them must find their session through a router, and know a push by its data.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import websockets

from bench.faults.clients import CONNECT_TIMEOUT, Address, FaultClient
from bench.faults.records import ClientConnected, ClientReceipt, HistoryWriter
from homing import Router, RouterError

FIND_INTERVAL = 0.02  # seconds


class BareClient(FaultClient):
    """A client of a user of its own, who has no other session."""

    bare = True

    def __init__(
        self,
        number: int,
        user: str,
        files: Sequence[str],
        token: str,
        addresses: Address,
        epochs: Mapping[str, int],
        history: HistoryWriter,
        router: Router,
    ) -> None:
        """`router`: finds its sessions."""
        super().__init__(number, user, files, token, addresses, epochs, history)
        self._router = router
        self._newest = 0  # of its sessions so far

    async def connect_once(
        self, url: str, t_request: float, serve: "Callable[[Any, ClientConnected], Awaitable[None]]"
    ) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT) as limit:
            async with self.open(url) as connection:
                session, node = await self._find(connection)
                limit.reschedule(None)
                hello = {"session": session, "node": node, "registered": True}
                await serve(connection, self.record_connected(hello, t_request))

    async def _find(self, connection: websockets.ClientConnection) -> tuple[int, str]:
        """The session that this connection has begun: newer than those before."""
        while connection.close_code is None:
            with suppress(RouterError):
                async for page in self._router.presence(user=self.user):
                    for one in page.sessions:
                        if one.session > self._newest:
                            self._newest = one.session
                            return one.session, one.node
            await asyncio.sleep(FIND_INTERVAL)
        raise ConnectionError("it ended before its session was found")

    async def receive(self, connection: websockets.ClientConnection, record: ClientConnected) -> None:
        with suppress(websockets.ConnectionClosed):
            while True:
                data = msgspec.json.decode(await connection.recv())
                if isinstance(data, dict):  # a push of the load; others have no data
                    push_id, now = f"push-{data['n']}", time.monotonic()
                    receipt = ClientReceipt(record.conn, record.session, record.node, record.epoch, push_id, now)
                    self._history.write(receipt)
