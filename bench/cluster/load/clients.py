"""WebSocket clients at minimal CPU cost: each counts bytes and searches for one marker."""

import asyncio
import base64
import os
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

MAX_CONNECTING = 50  # concurrent connects

Endpoint = Callable[[int], tuple[str, int, bytes]]
"""Host, port and handshake request of the n-th client."""


def handshake_request(url: str, token: str, file: str = "") -> bytes:
    """An opening handshake for homing.json, with a browser's usual headers."""
    parts = urlsplit(url)
    lines = [
        *(f"GET {parts.path}{'?file=' + file if file else ''} HTTP/1.1", f"Host: {parts.netloc}"),
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Protocol: homing.json",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
        *("Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Cache-Control: no-cache"),
        *((f"Authorization: Bearer {token}",) if token else ()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def masked_text_frame(payload: bytes) -> bytes:
    """A client's text frame, with a mask of zeros."""
    length = len(payload)
    if length < 126:
        head = bytes((0x81, 0x80 | length))
    elif length < 65_536:
        head = b"\x81\xfe" + length.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + length.to_bytes(8, "big")
    return head + b"\x00\x00\x00\x00" + payload


class LoadClient(asyncio.Protocol):
    """Counts received bytes; passes later data to `on_data`."""

    __slots__ = ("_ready", "bytes_received", "on_data", "ready_marker", "transport")

    def __init__(self, ready_marker: bytes) -> None:
        self.ready_marker = ready_marker  # bytes whose arrival makes the connection ready
        self.bytes_received = 0
        self.on_data: Callable[[bytes], None] | None = None
        self._ready: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if self._ready is not None:
            if self.ready_marker in data:
                self._ready.set_result(None)
                self._ready = None
        elif self.on_data is not None:
            self.on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionError("the connection was refused, or lost before it was ready"))

    def send(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]

    async def wait_ready(self) -> None:
        if self._ready is not None:
            await self._ready


async def connect(
    count: int, endpoint: Endpoint, ready_marker: bytes = b'"hello"', tls: ssl.SSLContext | None = None
) -> list[LoadClient]:
    """Connect `count` clients, some of them concurrently. ConnectionError: a client was refused or lost. `tls`: what
    they trust; None: they speak no TLS."""
    slots = asyncio.Semaphore(MAX_CONNECTING)
    loop = asyncio.get_running_loop()

    async def connect_one(index: int) -> LoadClient:
        host, port, request = endpoint(index)
        async with slots:
            _, client = await loop.create_connection(lambda: LoadClient(ready_marker), host, port, ssl=tls)
            client.send(request)
            await client.wait_ready()
        return client

    return await asyncio.gather(*map(connect_one, range(count)))


def close(clients: list[LoadClient]) -> None:
    """Close all connections."""
    for client in clients:
        client.transport.close()
