"""What a connection costs in memory, idle and after one large message each way, by how its bytes are read.

    python bench/read_memory.py [--connections N] [--size BYTES] [way ...]

Ways: `plain` an asyncio.Protocol, `buffered` an asyncio.BufferedProtocol with one buffer for the whole process,
`gateway` our own door and WebSocket, `picows` its listener (only where that package is installed; it is no dependency).
Each runs in a server process of its own under uvloop; printed is the growth of its RSS over an empty server, a
connection, at rest and again 10 s after each connection received and sent one message.
"""

import argparse
import asyncio
import importlib.util
import json
import multiprocessing as mp
import os
import sys
from multiprocessing.connection import Http2Connection as Pipe

import uvloop

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from gateway.door.handler import ClientListener, DoorSettings

from bench.micro.wire import HEAD, EchoHouse, know_everybody

WAYS = ("plain", "buffered", "gateway", "picows")
SETTLE = 10.0  # seconds
_scratch = memoryview(bytearray(256 * 1024))


class Plain(asyncio.Protocol):
    """Counts what comes; when a message is whole, sends as much."""

    __slots__ = ("_size", "_transport", "got")

    def __init__(self, size: int) -> None:
        self._size = size
        self.got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.count(len(data))

    def count(self, more: int) -> None:
        """`more` bytes came."""
        self.got += more
        if self.got >= self._size:
            self.got = 0
            self._transport.write(b"z" * self._size)  # type: ignore[attr-defined]


class Buffered(asyncio.BufferedProtocol, Plain):
    """The same over one buffer that all connections share."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _scratch

    def buffer_updated(self, nbytes: int) -> None:
        bytes(_scratch[:nbytes])
        self.count(nbytes)


async def listen(way: str, size: int) -> int:
    """Start the server; its port."""
    loop = asyncio.get_running_loop()
    if way == "gateway":
        return (await ClientListener(DoorSettings(), EchoHouse(), know_everybody).listen("127.0.0.1", 0))[1]
    if way == "picows":
        import picows

        class StreamHandler(picows.WSListener):
            def on_ws_frame(self, transport, frame):  # noqa: ANN001, ANN202 - an optional package, untyped here
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

        server = await picows.ws_create_server(
            lambda _: StreamHandler(), "127.0.0.1", 0, max_frame_size=1 << 20, use_aiofastnet=False
        )
    else:
        kind = Plain if way == "plain" else Buffered
        server = await loop.create_server(lambda: kind(size), "127.0.0.1", 0, backlog=4096)
    return server.sockets[0].getsockname()[1]


def run_server(way: str, size: int, pipe: Pipe) -> None:
    """The server process: its port, then nothing until it is ended."""

    async def serve() -> None:
        pipe.send(await listen(way, size))
        await asyncio.Event().wait()

    uvloop.run(serve())


def rss(pid: int) -> float:
    """KB of resident memory."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024


async def measure(way: str, connections: int, size: int, port: int, pid: int) -> tuple[float, float]:
    """KB a connection at rest, and after the message."""
    empty = rss(pid)
    speaks = way in ("gateway", "picows")
    opened = []
    for _ in range(connections):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2 * size)
        if speaks:
            writer.write(HEAD)
            await reader.readuntil(b"\r\n\r\n")
        opened.append((reader, writer))
    await asyncio.sleep(1)
    idle = rss(pid)
    said = b"q" * size
    if speaks:
        said = b"\x82\xfe" + size.to_bytes(2, "big") + bytes(4) + said
    for reader, writer in opened:
        writer.write(said)
        await reader.readexactly(size + (4 if speaks else 0))
    await asyncio.sleep(SETTLE)
    return (idle - empty) / connections, (rss(pid) - empty) / connections


def main() -> None:
    """Measure each way that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", default=list(WAYS), metavar="way")
    parser.add_argument("--connections", type=int, default=3000)
    parser.add_argument("--size", type=int, default=60_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    fresh = mp.get_context("spawn")  # a forked server would begin with room that its parent has freed
    for way in args.ways:
        if way == "picows" and importlib.util.find_spec("picows") is None:
            continue
        ours, theirs = fresh.Pipe()
        server = fresh.Process(target=run_server, args=(way, args.size, theirs), daemon=True)
        server.start()
        try:
            idle, after = uvloop.run(measure(way, args.connections, args.size, ours.recv(), server.pid or 0))
        finally:
            server.terminate()
            server.join()
        if args.json:
            print(json.dumps({"way": way, "idle_kb": idle, "after_kb": after}), flush=True)
        else:
            print(f"{way:10} idle {idle:6.1f} KB   after one message {after:6.1f} KB", flush=True)


if __name__ == "__main__":
    main()
