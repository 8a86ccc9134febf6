"""The memory of a connection, idle and after one large message in each direction, by the way its bytes are read.

    python -m bench.micro.read_memory [--connections N] [--size BYTES] [way ...]

Ways: `plain` an asyncio.Protocol, `buffered` an asyncio.BufferedProtocol with one buffer for the whole process,
`gateway` the gateway's listener and WebSocket, `deflate` the same with permessage-deflate agreed on, `picows` its
listener (only where that package is installed; it is no dependency). Each server is a process of its own under uvloop.
The figures are the growth of its RSS over an empty server, per connection: at rest, and 10 s after each connection
received and sent one message.
"""

import argparse
import asyncio
import importlib.util
import json
import multiprocessing
import os
import zlib
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from bench.cluster.process_usage import rss_bytes
from bench.micro.wire import HANDSHAKE, echo_listener
from gateway.wire.deflate import CompressionSettings, deflate_framings
from gateway.wire.messages import MessageLimits

WAYS = ("plain", "buffered", "gateway", "deflate", "picows")
SETTLE_TIME = 10.0  # seconds
_buffer = memoryview(bytearray(256 * 1024))


class PlainProtocol(asyncio.Protocol):
    """Counts received bytes; answers each whole message with one of the same size."""

    __slots__ = ("_received", "_size", "_transport")

    def __init__(self, size: int) -> None:
        self._size = size
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.on_received(len(data))

    def on_received(self, size: int) -> None:
        """Count `size` more bytes."""
        self._received += size
        if self._received >= self._size:
            self._received = 0
            self._transport.write(b"z" * self._size)  # type: ignore[attr-defined]


class SharedBufferProtocol(asyncio.BufferedProtocol, PlainProtocol):
    """The same with one read buffer for all connections."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        bytes(_buffer[:nbytes])
        self.on_received(nbytes)


async def listen(way: str, size: int) -> int:
    """Start the server. Returns its port."""
    if way == "gateway":
        return (await echo_listener(MessageLimits()).listen("127.0.0.1", 0))[1]
    if way == "deflate":
        framings = deflate_framings(CompressionSettings())
        return (await echo_listener(MessageLimits(), framings).listen("127.0.0.1", 0))[1]
    if way == "picows":
        server = await _serve_picows()
    else:
        protocol = PlainProtocol if way == "plain" else SharedBufferProtocol
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol(size), "127.0.0.1", 0, backlog=4096)
    return int(server.sockets[0].getsockname()[1])


async def _serve_picows() -> Any:  # noqa: ANN401 - an optional package without types
    import picows

    class PicowsEcho(picows.WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: Any, frame: Any) -> None:  # noqa: ANN401
            transport.send(frame.msg_type, frame.get_payload_as_bytes())

    return await picows.ws_create_server(
        lambda _: PicowsEcho(), "127.0.0.1", 0, max_frame_size=1 << 20, use_aiofastnet=False
    )


def run_server(way: str, size: int, pipe: Connection) -> None:
    """The server process: sends its port over the pipe, and serves until it is terminated."""

    async def serve() -> None:
        pipe.send(await listen(way, size))
        await asyncio.Event().wait()

    uvloop.run(serve())


def rss_kb(pid: int) -> float:
    """KB of resident memory."""
    return rss_bytes(pid) / 1024


async def measure(way: str, connections: int, size: int, port: int, pid: int) -> tuple[float, float]:
    """KB per connection at rest, and after the message."""
    empty = rss_kb(pid)
    is_websocket = way in ("gateway", "deflate", "picows")
    opened = []
    for _ in range(connections):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2 * size)
        if is_websocket:
            writer.write(HANDSHAKE)
            await reader.readuntil(b"\r\n\r\n")
        opened.append((reader, writer))
    await asyncio.sleep(1)
    idle = rss_kb(pid)
    message = b"q" * size
    if is_websocket:
        message = b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + message
    if way == "deflate":  # noise: what returns is as long, and not compressed
        payload = zlib.compress(os.urandom(size), wbits=-15) + b"\0"
        message = b"\xc2\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload
    for reader, writer in opened:
        writer.write(message)
        await reader.readexactly(size + (4 if is_websocket else 0))
    await asyncio.sleep(SETTLE_TIME)
    return (idle - empty) / connections, (rss_kb(pid) - empty) / connections


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", default=list(WAYS), metavar="way")
    parser.add_argument("--connections", type=int, default=3000)
    parser.add_argument("--size", type=int, default=60_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")  # a forked server would start with its parent's freed memory
    for way in arguments.ways:
        if way == "picows" and importlib.util.find_spec("picows") is None:
            continue
        pipe, server_pipe = context.Pipe()
        server = context.Process(target=run_server, args=(way, arguments.size, server_pipe), daemon=True)
        server.start()
        try:
            port, pid = pipe.recv(), server.pid or 0
            idle, after = uvloop.run(measure(way, arguments.connections, arguments.size, port, pid))
        finally:
            server.terminate()
            server.join()
        if arguments.json:
            print(json.dumps({"way": way, "idle_kb": idle, "after_kb": after}), flush=True)
        else:
            print(f"{way:10} idle {idle:6.1f} KB   after one message {after:6.1f} KB", flush=True)


if __name__ == "__main__":
    main()
