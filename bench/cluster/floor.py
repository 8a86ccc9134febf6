"""Bare servers: the least that a scenario's job takes, on the same event loop and machine.

    python -m bench.cluster.floor accept|echo|write|relay [port to relay to]

`accept` answers a head with a fixed 101 and keeps the connection. `echo` sends back what comes. `write` keeps its
connections and, for a line `FRAMES BYTES` on stdin, writes so many frames to each of them in one loop of send(); it
answers with the CPU microseconds a write. `relay` passes everything on to another port. Each prints its port first.
"""

import asyncio
import contextlib
import socket
import sys
import time

from bench.cluster.load import loops

ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Accept(asyncio.Protocol):
    """Answers once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)  # type: ignore[attr-defined]


class Echo(Accept):
    """Answers everything with itself."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


class Relay(Accept):
    """Passes on what comes."""

    def __init__(self, to: asyncio.WriteTransport) -> None:
        self._to = to

    def data_received(self, data: bytes) -> None:
        self._to.write(data)


async def serve(mode: str, arguments: list[str]) -> None:
    """Listen until killed."""
    loop = asyncio.get_running_loop()
    if mode == "relay":
        to, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", int(arguments[0]))
        server = await loop.create_server(lambda: Relay(to), "127.0.0.1", 0)
    else:
        server = await loop.create_server(Accept if mode == "accept" else Echo, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def write_loop() -> None:
    """A loop of send() over the connections, as bare as Python has it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    connections: list[socket.socket] = []
    for line in sys.stdin:
        frames, size, expected = map(int, line.split())
        while len(connections) < expected:
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.send(ANSWER)
            connection.setblocking(False)
            connections.append(connection)
        frame = b"\x81\x7e" + size.to_bytes(2, "big") + b"x" * size  # a text frame, which clients can read
        began = time.process_time()
        for _ in range(frames):
            for connection in connections:
                with contextlib.suppress(BlockingIOError):
                    connection.send(frame)
        print((time.process_time() - began) / max(1, frames * len(connections)) * 1e6, flush=True)


def main() -> None:
    """The command line."""
    mode, *arguments = sys.argv[1:]
    if mode == "write":
        write_loop()
        return
    loops.run(serve(mode, arguments))


if __name__ == "__main__":
    main()
