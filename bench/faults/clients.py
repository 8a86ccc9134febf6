"""Clients that reconnect as docs/protocol.md advises, and record what they receive."""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
import websockets

from bench.faults.records import ClientConnected, ClientEnded, ClientReceipt, ClientRefused, HistoryWriter

FIRST_DELAY, MAX_DELAY = 0.5, 30.0  # seconds (docs/protocol.md, "Back-off")
CONNECT_TIMEOUT = 8.0  # seconds; admission takes at most 5
READ_ON = 0.5  # seconds, of the old connection after the new one is open
OPENING = 32  # clients that connect at once in `open_all`


class Address:
    """The clients' addresses of the gateways, as a load balancer knows them: by node, changed by the rig."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.tls: ssl.SSLContext | None = None  # None: plain

    def choose(self, without: str = "") -> tuple[str, str]:
        """A node and its URL at random; not the one that has just failed, if there is another."""
        names = [name for name in self.urls if name != without] or list(self.urls)
        name = random.choice(names)
        return name, self.urls[name]


class FaultClient:
    """One client of one user. `live`: its newest session while that is connected, else 0."""

    bare = False  # whether it speaks no subprotocol

    def __init__(
        self,
        number: int,
        user: str,
        files: Sequence[str],
        token: str,
        addresses: Address,
        epochs: Mapping[str, int],
        history: HistoryWriter,
    ) -> None:
        self.number = number
        self.user = user
        self.files = list(files)
        self.live = 0
        self.node = ""
        self._token = token
        self._addresses = addresses
        self._epochs = epochs
        self._history = history
        self._current: websockets.ClientConnection | None = None
        self._reconnect = asyncio.Event()  # a gateway has requested it
        self._after = 0.0  # seconds within which
        self._tasks: set[asyncio.Task[bool]] = set()  # connections, and what closes the one before

    async def run(self) -> None:
        """Connect, and reconnect, until cancelled. When its gateway stops, it moves (docs/protocol.md, "Moving")."""
        failures, failed = 0, ""
        try:
            while True:
                self._reconnect.clear()
                node, url = self._addresses.choose(failed)
                connection = self._start(self._connect(node, url))
                failed = node
                if await self._wait_over(connection):
                    failures = 0 if connection.result() else failures + 1
                    await asyncio.sleep(random.uniform(0, min(MAX_DELAY, FIRST_DELAY * 2**failures)))
                else:
                    failures = 0
                    await asyncio.sleep(random.uniform(0, self._after))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[None, None, bool]) -> "asyncio.Task[bool]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _wait_over(self, connection: "asyncio.Task[bool]") -> bool:
        """True: the connection has ended. False: it is to be replaced."""
        requested = asyncio.create_task(self._reconnect.wait())
        try:
            await asyncio.wait({connection, requested}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            requested.cancel()
        return connection.done()

    async def _connect(self, node: str, url: str) -> bool:
        """One connection; false when there was none."""
        try:
            await self.connect_once(url, time.monotonic(), self._serve)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            self._history.write(ClientRefused(self.number, node, failure(error), time.monotonic()))
            return False
        return True

    async def connect_once(
        self, url: str, t_request: float, serve: "Callable[[Any, ClientConnected], Awaitable[None]]"
    ) -> None:
        """One connection, from the handshake to its end."""
        async with asyncio.timeout(CONNECT_TIMEOUT) as limit:
            async with self.open(url) as connection:
                hello = msgspec.json.decode(await connection.recv())
                limit.reschedule(None)
                await serve(connection, self.record_connected(hello, t_request))

    def open(self, url: str) -> websockets.connect:
        """A WebSocket with this client's token and files."""
        query = "&".join(f"file={quote(file)}" for file in self.files)
        return websockets.connect(
            f"{url}?{query}" if query else url,
            subprotocols=None if self.bare else [websockets.Subprotocol("homing.json")],
            additional_headers={"Authorization": f"Bearer {self._token}"},
            compression=None,
            ping_interval=None,
            max_queue=None,
            proxy=None,
            close_timeout=1,
            ssl=self._addresses.tls,
        )

    def record_connected(self, hello: dict[str, Any], t_request: float) -> ClientConnected:
        node, conn = str(hello["node"]), self._history.next_connection()
        session, registered = int(hello["session"]), bool(hello["registered"])
        epoch, now = self._epochs.get(node, 0), time.monotonic()
        record = ClientConnected(
            conn, self.number, session, self.user, node, epoch, self.files, registered, t_request, now, self.bare
        )
        self._history.write(record)
        return record

    async def _serve(self, connection: websockets.ClientConnection, record: ClientConnected) -> None:
        before, self._current = self._current, connection
        self.live, self.node = record.session, record.node
        if before is not None:
            self._start(_leave(before))
        try:
            await self.receive(connection, record)
        finally:
            if self._current is connection:
                self._current, self.live = None, 0
        self.record_ended(record, connection.close_code or 1006)

    def record_ended(self, record: ClientConnected, code: int) -> None:
        """The connection ends now."""
        self._history.write(ClientEnded(record.conn, self.number, code, time.monotonic()))

    async def receive(self, connection: websockets.ClientConnection, record: ClientConnected) -> None:
        """Record what is received until the connection ends."""
        with suppress(websockets.ConnectionClosed):
            while True:
                message = msgspec.json.decode(await connection.recv())
                now = time.monotonic()
                if message["type"] == "event":
                    receipt = ClientReceipt(
                        record.conn, record.session, record.node, record.epoch, message["push"], now
                    )
                    self._history.write(receipt)
                elif message["type"] == "reconnect":
                    self._after = message["after_ms"] / 1000
                    self._reconnect.set()


async def _leave(connection: websockets.ClientConnection) -> bool:
    """Read on for a while, then close: what was pushed before the client has moved is still on its way."""
    await asyncio.sleep(READ_ON)
    await connection.close(1000)
    return True


def failure(error: Exception) -> str:
    """Why a client could not connect: the status of HTTP, or the kind of error."""
    response = getattr(error, "response", None)
    return str(response.status_code) if response is not None else type(error).__name__


class Clients:
    """All clients of an experiment."""

    def __init__(self, clients: Sequence[FaultClient]) -> None:
        self.all = list(clients)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def live(self) -> list[FaultClient]:
        """Those that are connected now."""
        return [client for client in self.all if client.live]

    async def open_all(self, within: float = 30.0) -> None:
        """Start all clients, some at once; TimeoutError when they are not all connected in time."""
        async with asyncio.timeout(within):
            for start in range(0, len(self.all), OPENING):
                batch = self.all[start : start + OPENING]
                self._tasks += [asyncio.create_task(client.run()) for client in batch]
                while not all(client.live for client in batch):
                    await asyncio.sleep(0.01)

    async def wait_live(self, within: float) -> float | None:
        """Seconds until all clients are connected; None: not within the limit."""
        began = time.monotonic()
        while len(self.live) < len(self.all):
            if time.monotonic() > began + within:
                return None
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def close(self) -> None:
        """End all clients at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
