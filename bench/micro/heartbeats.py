"""Heartbeats a second for n connections by growth: by the gateway's counter, and as its clients receive them.

    python -m bench.micro.heartbeats [--connections N] [--interval SECONDS] [--seconds SECONDS] [growth ...]

A real listener in a process of its own, with a shorter interval than a gateway's. Figures are of connections that have
proved stable; "expected" is n / (growth x interval). The wheel adds up to 0.25 s to each of an interval's two steps.
"""

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe

import uvloop

from bench.micro.wire import HANDSHAKE, UNFINISHED_BYTES, accept_any_token
from gateway.close_codes import CloseCode
from gateway.door.admission import Origins
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.routes import Routes
from gateway.door.values import Arrival
from gateway.door.websocket_endpoint import WebSocketEndpoint
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection
from gateway.sessions.heartbeat import PROVED, Heartbeat, HeartbeatSettings
from gateway.sessions.rates import LimitSettings, MessageRates
from gateway.sessions.session import Session
from gateway.wire.bare import Bare
from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from observability import names
from observability.counters import counters

PING, PONG = b"\x89\x00", b"\x8a\x80\0\0\0\0"


class PingedConnections:
    """Admits every client, and pings it: a `gateway.door.ports.AdmissionPort` and its `ConnectionHandler`."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat

    async def enter(self, arrival: Arrival) -> Connection:
        return Connection(self, Budget())

    def on_open(self, connection: Connection) -> None:
        self._heartbeat.begin(connection)

    def on_close(self, connection: Connection, code: int, reason: str) -> None:
        self._heartbeat.end(connection)

    def on_message(self, connection: Connection, text: bool, payload: bytes) -> None: ...
    def on_too_large(self, connection: Connection, size: int) -> None: ...
    def on_blocked(self, connection: Connection) -> None: ...
    def disconnect(self, connection: Connection, session: Session, why: CloseCode, reason: str) -> None: ...
    def request_reconnect(self, connection: Connection, *, close: bool) -> None: ...


async def serve(pipe: Pipe, settings: HeartbeatSettings) -> None:
    """Sends its port over the pipe, then pings sent and CPU seconds for every True that it receives."""
    counted, loop = counters(names.GATEWAY), asyncio.get_running_loop()
    rates = MessageRates(LimitSettings(), 1_000_000, time.monotonic)
    heartbeat = Heartbeat(settings, rates, counted, loop)
    uploads = UploadRules(MessageLimits(), UnfinishedMessages(UNFINISHED_BYTES), lambda _transport, _seconds: None)
    admission = PingedConnections(heartbeat)
    endpoint = WebSocketEndpoint(Origins(local=True), uploads, admission, accept_any_token, [Bare()])
    listener = ClientListener(Routes({"/ws": endpoint}), HandshakeLimits(), counted)
    _, port = await listener.listen("127.0.0.1", 0)
    pipe.send(port)
    stopped = asyncio.Event()

    def on_request() -> None:
        if pipe.recv():
            pipe.send((counted.pings_sent, time.process_time()))
        else:
            stopped.set()

    loop.add_reader(pipe.fileno(), on_request)
    await stopped.wait()
    heartbeat.close()
    await listener.close()


def run_server(pipe: Pipe, settings: HeartbeatSettings) -> None:
    """The server process."""
    uvloop.run(serve(pipe, settings))


class PongingClient(asyncio.Protocol):
    """Answers each ping. `on_ping` is called for each."""

    def __init__(self, on_ping: Callable[[], None]) -> None:
        self._on_ping = on_ping

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(HANDSHAKE)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if data.endswith(PING):
            self._on_ping()
            self._transport.write(PONG)  # type: ignore[attr-defined]


async def measure(pipe: Pipe, connections: int, settings: HeartbeatSettings, seconds: float) -> tuple[float, ...]:
    """Pings a second by the gateway's counter and by the clients, and us of the gateway's CPU for each."""
    port, received, loop = pipe.recv(), 0, asyncio.get_running_loop()

    def count() -> None:
        nonlocal received
        received += 1

    for number in range(connections):
        await loop.create_connection(lambda: PongingClient(count), "127.0.0.1", port)
        if number % 20 == 0:  # evenly over the time between two pings
            await asyncio.sleep(settings.longest() * 20 / connections)
    await asyncio.sleep(settings.interval * (PROVED + 1) + settings.longest())
    pipe.send(True)
    received, (sent, cpu) = 0, pipe.recv()
    await asyncio.sleep(seconds)
    pipe.send(True)
    on_wire, (sent_then, cpu_then) = received, pipe.recv()
    pipe.send(False)
    pings = sent_then - sent
    return pings / seconds, on_wire / seconds, (cpu_then - cpu) / pings * 1e6


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("growth", nargs="*", type=float, default=[1.0, 2.0, 4.0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    for growth in arguments.growth:
        settings = HeartbeatSettings(arguments.interval, arguments.interval * 0.8, growth)
        pipe, server_pipe = multiprocessing.Pipe()
        server = multiprocessing.Process(target=run_server, args=(server_pipe, settings), daemon=True)
        server.start()
        counted, on_wire, us = uvloop.run(measure(pipe, arguments.connections, settings, arguments.seconds))
        server.join()
        expected = arguments.connections / settings.longest()
        print(
            f"growth {growth:g}: expected {expected:.1f} pings/s, counted {counted:.1f}, on the wire {on_wire:.1f}; "
            f"{us:.0f} us of CPU each",
            flush=True,
        )


if __name__ == "__main__":
    main()
