"""A homing.json client that moves as docs/protocol.md says ("Moving"), over the public `websockets` package."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import websockets

from tests.support.cluster import Cluster, Service

OVERLAP = 0.5  # seconds for which the old connection is read on


class MovingClient:
    """One user. `received`: push ids, and on how many connections each came; `gaps`: seconds without any connection."""

    def __init__(self, cluster: Cluster, user: str, gateway: Callable[[], Service], *files: str) -> None:
        """`gateway`: where a balancer leads now."""
        self.received: Counter[str] = Counter()
        self.order: list[object] = []  # the data of each push, once
        self.gaps: list[float] = []
        self.ready = asyncio.Event()
        self._cluster = cluster
        self._user = user
        self._gateway = gateway
        self._files = files
        self._open = 0  # connections that are joined
        self._alone_since: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Connect, and stay connected."""
        self._start(self._connect())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, old: websockets.ClientConnection | None = None) -> None:
        """One connection, from its handshake to its end. `old`: the one that this one follows."""
        moved = False
        try:
            token = self._cluster.token(self._user, *self._files)
            async with websockets.connect(
                self._gateway().url,
                subprotocols=[websockets.Subprotocol("homing.json")],
                additional_headers={"Authorization": f"Bearer {token}"},
                compression=None,
                max_queue=None,
                close_timeout=2,
            ) as connection:
                await self._join(connection)
                self._joined()
                if old is not None:
                    asyncio.get_running_loop().call_later(OVERLAP, self._start, old.close())
                try:
                    async for text in connection:
                        moved |= await self._take(connection, json.loads(text))
                finally:
                    self._left()
        except (OSError, websockets.WebSocketException):
            await asyncio.sleep(random.random() * 0.2)
        if not moved:
            self.start()

    async def _join(self, connection: websockets.ClientConnection) -> None:
        await connection.recv()  # hello
        for number, file in enumerate(self._files):
            await connection.send(json.dumps({"type": "join", "file": file, "id": number}))
            while (message := json.loads(await connection.recv())).get("id") != number:
                await self._take(connection, message)

    async def _take(self, connection: websockets.ClientConnection, message: dict[str, object]) -> bool:
        """Whether this connection is followed by another one from now on."""
        if message["type"] == "event":
            push = str(message["push"])
            if not self.received[push]:
                self.order.append(message["data"])
            self.received[push] += 1
        if message["type"] != "reconnect":
            return False
        self._start(self._move(connection, float(str(message["after_ms"])) / 1000))
        return True

    async def _move(self, connection: websockets.ClientConnection, within: float) -> None:
        await asyncio.sleep(random.random() * within)
        await self._connect(connection)

    def _joined(self) -> None:
        self._open += 1
        if self._alone_since is not None:
            self.gaps.append(asyncio.get_running_loop().time() - self._alone_since)
            self._alone_since = None
        self.ready.set()

    def _left(self) -> None:
        self._open -= 1
        if not self._open:
            self._alone_since = asyncio.get_running_loop().time()
