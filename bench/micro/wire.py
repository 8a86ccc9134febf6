"""The CPU cost of a gateway's WebSocket layer: a request head, a message, an echo, a connect without a registry.

    python -m bench.micro.wire    measure and print (--json for programs)

The server is a process of its own that reports its CPU time over a pipe; the client's CPU is printed too, to show
whether the client was the bottleneck.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

import uvloop

from gateway.door.admission import Origins
from gateway.door.echo import EchoHandler
from gateway.door.handshake import HandshakeLimits
from gateway.door.head import Head, HeadReader
from gateway.door.listener import ClientListener
from gateway.door.routes import Routes
from gateway.door.upgrade import check_upgrade
from gateway.door.values import Arrival
from gateway.door.websocket_endpoint import NO_FRAMINGS, WebSocketEndpoint
from gateway.identity.identity import Identity
from gateway.wire.bare import Bare
from gateway.wire.frames import text_frame, unmask
from gateway.wire.messages import MessageLimits, receive
from gateway.wire.ports import Framing
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from observability import names
from observability.counters import counters

HANDSHAKE = (
    b"GET /ws?token=" + b"e" * 180 + b" HTTP/1.1\r\nHost: gateway.example.com\r\nConnection: Upgrade\r\n"
    b"Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
    b"AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
UNFINISHED_BYTES = 1 << 30  # of unfinished messages of all clients: no limit in these measurements


class EchoAdmission:
    """Admits every client, with an echo."""

    async def enter(self, arrival: Arrival) -> EchoHandler:
        return EchoHandler()


def accept_any_token(token: str, now: float) -> Identity:
    """A token check without a signature."""
    return Identity("u", (), "bench", now + 3600)


def echo_listener(limits: MessageLimits, framings: Mapping[int, Framing] = NO_FRAMINGS) -> ClientListener:
    """A gateway's client listener that echoes, compressed if `framings` are given and a client offers it."""
    uploads = UploadRules(limits, UnfinishedMessages(UNFINISHED_BYTES), lambda _transport, _seconds: None)
    endpoint = WebSocketEndpoint(
        Origins(local=True), uploads, EchoAdmission(), accept_any_token, [Bare()], framings=framings
    )
    return ClientListener(Routes({"/ws": endpoint}), HandshakeLimits(), counters(names.GATEWAY))


async def serve(pipe: Connection) -> None:
    """Run the echo gateway. Sends its port over the pipe, then its CPU time for every True that it receives."""
    listener = echo_listener(MessageLimits())
    _, port = await listener.listen("127.0.0.1", 0)
    pipe.send(port)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def on_request() -> None:
        if pipe.recv():
            pipe.send(time.process_time())
        else:
            stopped.set()

    loop.add_reader(pipe.fileno(), on_request)
    await stopped.wait()
    await listener.close()


def run_server(pipe: Connection) -> None:
    """The server process."""
    uvloop.run(serve(pipe))


def masked_text_frame(payload: bytes) -> bytes:
    """A client's text frame, with a random mask."""
    key = os.urandom(4)
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    return head + key + unmask(key, payload)


def connect(port: int) -> socket.socket:
    """An open WebSocket."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HANDSHAKE)
    response = b""
    while b"\r\n\r\n" not in response:
        response += sock.recv(4096)
    assert response.startswith(b"HTTP/1.1 101"), response
    return sock


def cpu_us(call: Callable[[], object], times: int = 50_000) -> float:
    """Microseconds of CPU per call, the lowest of three repetitions."""
    best = float("inf")
    for _ in range(3):
        started_at = time.process_time()
        for _ in range(times):
            call()
        best = min(best, time.process_time() - started_at)
    return best / times * 1e6


def measure_core() -> dict[str, float]:
    """The parts without a socket."""

    def check_head() -> None:
        head = HeadReader().feed(HANDSHAKE)
        assert isinstance(head, Head)
        check_upgrade(head, ())

    limits = MessageLimits()
    small, large = masked_text_frame(b"x" * 200), masked_text_frame(b"x" * 65_000)
    return {
        "request head checked, us": cpu_us(check_head, 10_000),
        "200 B text frame read, us": cpu_us(lambda: receive(small, None, limits)),
        "65 kB text frame read, us": cpu_us(lambda: receive(large, None, limits), 500),
    }


def measure_server(echoes: int, connects: int) -> dict[str, float]:
    """A gateway's sockets: CPU per echo, one at a time, and per connect with its end."""
    pipe, server_pipe = multiprocessing.Pipe()
    server = multiprocessing.Process(target=run_server, args=(server_pipe,), daemon=True)
    server.start()
    port = pipe.recv()

    def cpu_seconds() -> tuple[float, float]:
        pipe.send(True)
        return pipe.recv(), time.process_time()

    sock = connect(port)
    frame = masked_text_frame(b"x" * 200)
    response_size = len(text_frame(b"x" * 200))
    start = cpu_seconds()
    for _ in range(echoes):
        sock.sendall(frame)
        sock.recv(response_size, socket.MSG_WAITALL)
    after_echoes = cpu_seconds()
    for _ in range(connects):
        connect(port).close()
    after_connects = cpu_seconds()
    pipe.send(False)
    server.join()
    return {
        "echo of 200 B, us": (after_echoes[0] - start[0]) / echoes * 1e6,
        "echo of 200 B, client's us": (after_echoes[1] - start[1]) / echoes * 1e6,
        "connect and loss, us": (after_connects[0] - after_echoes[0]) / connects * 1e6,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure_core() | measure_server(20_000, 3_000)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:32} {figure:8.2f}")


if __name__ == "__main__":
    main()
