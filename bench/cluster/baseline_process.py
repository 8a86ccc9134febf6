"""Baseline servers: the least that a scenario's job takes, on the same event loop and machine.

    python -m bench.cluster.baseline_process accept|echo|write|relay [port to relay to]

`accept` answers a handshake with a fixed 101 and keeps the connection. `echo` sends back all data. `write` keeps its
connections and, for a line `FRAMES BYTES CONNECTIONS` on stdin, writes FRAMES frames to each connection in one loop of
send(); its answer is the CPU microseconds per write. `relay` forwards all data to another port. Each server prints its
port first.
"""

import asyncio
import contextlib
import socket
import sys
import time

from bench.cluster.load import event_loop

RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class AcceptProtocol(asyncio.Protocol):
    """Answers any data with a 101."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(RESPONSE)  # type: ignore[attr-defined]


class EchoProtocol(AcceptProtocol):
    """Sends back all data."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


class RelayProtocol(AcceptProtocol):
    """Forwards all data."""

    def __init__(self, destination: asyncio.WriteTransport) -> None:
        self._destination = destination

    def data_received(self, data: bytes) -> None:
        self._destination.write(data)


async def serve(mode: str, arguments: list[str]) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    if mode == "relay":
        destination, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", int(arguments[0]))
        server = await loop.create_server(lambda: RelayProtocol(destination), "127.0.0.1", 0)
    else:
        protocol = AcceptProtocol if mode == "accept" else EchoProtocol
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def serve_writes() -> None:
    """Write frames in a plain loop of send() over the connections."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    connections: list[socket.socket] = []
    for line in sys.stdin:
        frames, size, expected = map(int, line.split())
        while len(connections) < expected:
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.send(RESPONSE)
            connection.setblocking(False)
            connections.append(connection)
        frame = b"\x81\x7e" + size.to_bytes(2, "big") + b"x" * size  # a text frame, as the clients expect
        started_at = time.process_time()
        for _ in range(frames):
            for connection in connections:
                with contextlib.suppress(BlockingIOError):
                    connection.send(frame)
        print((time.process_time() - started_at) / max(1, frames * len(connections)) * 1e6, flush=True)


def main() -> None:
    """Run the server that the command line selects."""
    mode, *arguments = sys.argv[1:]
    if mode == "write":
        serve_writes()
        return
    event_loop.run(serve(mode, arguments))


if __name__ == "__main__":
    main()
