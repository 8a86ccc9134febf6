"""WebSocket clients that cost as little as they can: they count, and look for one number."""

import asyncio
import base64
import os
from collections.abc import Callable
from urllib.parse import urlsplit

AT_ONCE = 50  # connects under way


def handshake(url: str, token: str, file: str = "") -> bytes:
    """A browser's request head, more or less, for homing.json."""
    where = urlsplit(url)
    lines = [
        *(f"GET {where.path}{'?file=' + file if file else ''} HTTP/1.1", f"Host: {where.netloc}"),
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Protocol: homing.json",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
        *("Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Cache-Control: no-cache"),
        *((f"Authorization: Bearer {token}",) if token else ()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def masked_text(payload: bytes) -> bytes:
    """One text frame as clients send it, with a mask of zeros."""
    length = len(payload)
    if length < 126:
        head = bytes((0x81, 0x80 | length))
    elif length < 65_536:
        head = b"\x81\xfe" + length.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + length.to_bytes(8, "big")
    return head + b"\x00\x00\x00\x00" + payload


class Client(asyncio.Protocol):
    """Counts what comes; `on_data` may look at it."""

    __slots__ = ("_ready", "got", "mark", "on_data", "transport")

    def __init__(self, mark: bytes) -> None:
        self.mark = mark  # what says that the connection is ready
        self.got = 0
        self.on_data: Callable[[bytes], None] | None = None
        self._ready: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += len(data)
        if self._ready is not None:
            if self.mark in data:
                self._ready.set_result(None)
                self._ready = None
        elif self.on_data is not None:
            self.on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionError("refused, or lost before it was ready"))

    def send(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]

    async def wait_ready(self) -> None:
        if self._ready is not None:
            await self._ready


async def connect(
    number: int, where: Callable[[int], tuple[str, int, bytes]], mark: bytes = b'"hello"'
) -> list[Client]:
    """Open so many clients, some at once. `where` says host, port and first bytes of the n-th."""
    turns = asyncio.Semaphore(AT_ONCE)
    loop = asyncio.get_running_loop()

    async def one(index: int) -> Client:
        host, port, first = where(index)
        async with turns:
            _, client = await loop.create_connection(lambda: Client(mark), host, port)
            client.send(first)
            await client.wait_ready()
        return client

    return await asyncio.gather(*map(one, range(number)))


def close(clients: list[Client]) -> None:
    """Let all of them go."""
    for client in clients:
        client.transport.close()
