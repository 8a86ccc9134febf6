"""What the wire costs a gateway, in CPU time: a request head, a message, an echo, a connect without a registry.

    python bench/wire.py            measure and print (--json for machines)
    python bench/wire.py --serve    only run the echo gateway, for conformance suites (17 MiB, no fragment budget)

The server is a process of its own, asked for its CPU time over a pipe; the client's CPU is printed beside it, so that a
client that was the limit can be seen.
"""

import argparse
import asyncio
import json
import multiprocessing as mp
import os
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Http2Connection as Pipe

import uvloop

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from gateway.door.admission import Origins
from gateway.door.head import Head, HeadReader
from gateway.door.listener import ClientListener, DoorSettings
from gateway.door.upgrade import judge_upgrade
from gateway.door.values import Arrival
from gateway.identity.identity import Identity
from gateway.wire.frames import binary_frame, text_frame, unmask
from gateway.wire.messages import Http2Limits, receive
from gateway.wire.ports import Http2Connection

HEAD = (
    b"GET /ws?token=" + b"e" * 180 + b" HTTP/1.1\r\nHost: gateway.example.com\r\nConnection: Upgrade\r\n"
    b"Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
    b"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
WHOLE = Http2Limits(17 * 1024 * 1024, 0)


class Echo:
    """A peer that sends back what it hears."""

    __slots__ = ("_connection",)

    def opened(self, connection: Http2Connection) -> None:
        self._connection = connection

    def message(self, text: bool, payload: bytes) -> None:
        self._connection.send(text_frame(payload) if text else binary_frame(payload))

    def pong(self) -> None: ...
    def writable(self) -> None: ...
    def closed(self, code: int, reason: str) -> None:
        del self._connection


class EchoHouse:
    """Admits everybody."""

    async def enter(self, arrival: Arrival) -> Echo:
        return Echo()


def know_everybody(token: str, now: float) -> Identity:
    """A verify without a signature."""
    return Identity("u", (), "bench", now + 3600)


async def serve(pipe: Pipe | None, port: int, limits: Http2Limits) -> None:
    """Run the echo gateway; over the pipe: its port, then its CPU time each time it is asked."""
    settings = DoorSettings(limits=limits, origins=Origins(local=True))
    doorway = ClientListener(settings, EchoHouse(), know_everybody)
    _, port = await doorway.listen("127.0.0.1", port)
    if pipe is None:
        print(f"ws://127.0.0.1:{port}/ws?token=x", flush=True)
        await asyncio.Event().wait()
        return
    pipe.send(port)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def asked() -> None:
        if pipe.recv():
            pipe.send(time.process_time())
        else:
            done.set()

    loop.add_reader(pipe.fileno(), asked)
    await done.wait()
    await doorway.close()


def run_server(pipe: Pipe) -> None:
    """The server process."""
    uvloop.run(serve(pipe, 0, Http2Limits()))


def mask(payload: bytes) -> bytes:
    """A client's text frame."""
    key = os.urandom(4)
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    return head + key + unmask(key, payload)


def connect(port: int) -> socket.socket:
    """One open WebSocket."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HEAD)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return sock


def time_of(call: Callable[[], object], times: int = 50_000) -> float:
    """us of CPU a call, the best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        for _ in range(times):
            call()
        best = min(best, time.process_time() - begin)
    return best / times * 1e6


def measure_core() -> dict[str, float]:
    """The parts without a socket."""

    def judge() -> None:
        head = HeadReader().feed(HEAD)
        assert isinstance(head, Head)
        judge_upgrade(head, "/ws", ())

    limits = Http2Limits()
    small, large = mask(b"x" * 200), mask(b"x" * 65_000)
    return {
        "request head judged, us": time_of(judge, 10_000),
        "200 B text frame read, us": time_of(lambda: receive(small, None, limits)),
        "65 kB text frame read, us": time_of(lambda: receive(large, None, limits), 500),
    }


def measure_server(echoes: int, connects: int) -> dict[str, float]:
    """A real gateway's wire: CPU a echo, one at a time, and a connect with its goodbye."""
    ours, theirs = mp.Pipe()
    server = mp.Process(target=run_server, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()

    def spent() -> tuple[float, float]:
        ours.send(True)
        return ours.recv(), time.process_time()

    sock = connect(port)
    frame = mask(b"x" * 200)
    want = len(text_frame(b"x" * 200))
    begin = spent()
    for _ in range(echoes):
        sock.sendall(frame)
        sock.recv(want, socket.MSG_WAITALL)
    end = spent()
    for _ in range(connects):
        connect(port).close()
    last = spent()
    ours.send(False)
    server.join()
    return {
        "echo of 200 B, us": (end[0] - begin[0]) / echoes * 1e6,
        "echo of 200 B, client's us": (end[1] - begin[1]) / echoes * 1e6,
        "connect and loss, us": (last[0] - end[0]) / connects * 1e6,
    }


def main() -> None:
    """Parse what is wanted and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.serve:
        uvloop.run(serve(None, args.port, WHOLE))
        return
    figures = measure_core() | measure_server(20_000, 3_000)
    if args.json:
        print(json.dumps(figures))
    else:
        for what, figure in figures.items():
            print(f"{what:32} {figure:8.2f}")


if __name__ == "__main__":
    main()
