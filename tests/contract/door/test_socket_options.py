"""What the kernel is set to do for each accepted connection, read from the accepted socket itself."""

import asyncio
import socket
import struct
import sys

import pytest

from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.routes import Routes
from gateway.door.socket_options import TCP_NOTSENT_LOWAT, SocketOptions, set_options
from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from gateway.wire.websocket import WebSocketTransport
from observability import names
from observability.counters import counters
from tests.contract.door.test_the_door import Echo
from tests.support.slow_lines import SlowLines, missing

UPLOADS = UploadRules(MessageLimits(), UnfinishedMessages(1 << 20), lambda _upload, _seconds: None)
OURS = SocketOptions(longest_interval=50.0, timeout=20.0)


async def accepted_options(options: SocketOptions) -> dict[str, int]:
    """The options of the socket of one connection."""
    listener = ClientListener(Routes({}), HandshakeLimits(), counters(names.GATEWAY), options=options)
    host, port = await listener.listen("127.0.0.1", 0)
    _, writer = await asyncio.open_connection(host, port)
    while not listener.pending:
        await asyncio.sleep(0)
    (pending,) = listener.pending
    sock = pending._transport.get_extra_info("socket")
    tcp = {name: sock.getsockopt(socket.IPPROTO_TCP, number) for name, number in TCP.items()}
    found = tcp | {"keepalive": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}
    writer.close()
    await listener.close()
    return found


TCP = {
    "idle": socket.TCP_KEEPIDLE,
    "interval": socket.TCP_KEEPINTVL,
    "probes": socket.TCP_KEEPCNT,
    "user_timeout": socket.TCP_USER_TIMEOUT,
    "max_segment": socket.TCP_MAXSEG,
    "unsent": TCP_NOTSENT_LOWAT,
}


async def test_a_half_open_peer_is_found_by_the_time_at_which_the_heartbeat_would_find_it():
    found = await accepted_options(OURS)
    assert OURS.lost_after() == 70  # as the heartbeat: 50 + 20
    assert (found["keepalive"], found["user_timeout"]) == (1, 70_000)
    assert found["idle"] + found["probes"] * found["interval"] == 70
    assert found["idle"] > 50  # a client that answers pings gets none
    assert found["unsent"] == 128 * 1024


async def test_the_segment_size_is_the_kernels_unless_one_is_set():
    assert (await accepted_options(OURS))["max_segment"] > 10_000  # loopback
    assert (await accepted_options(SocketOptions(max_segment=1200)))["max_segment"] <= 1200


@pytest.mark.parametrize(("interval", "timeout", "lost_after"), [(1.2, 0.5, 6), (25.0, 20.0, 45), (300.0, 30.0, 332)])
def test_the_kernel_counts_whole_seconds_and_is_never_earlier_than_the_heartbeat(interval, timeout, lost_after):
    options = SocketOptions(interval, timeout)
    assert options.lost_after() == lost_after >= interval + timeout
    assert options.probe_after() > interval


CLIENT = "import socket, sys, time; s = [socket.create_connection(sys.argv[1:]) for _ in '123']; time.sleep(60)"


class Accepted(asyncio.Protocol):
    """A connection that tells when the loop notices its end."""

    def __init__(self, accepted: "list[Accepted]") -> None:
        self.accepted = accepted
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.accepted.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


async def test_a_reset_that_the_loop_does_not_notice_can_be_looked_up():
    loop, accepted = asyncio.get_running_loop(), list[Accepted]()
    server = await loop.create_server(lambda: Accepted(accepted), "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    while not accepted:
        await asyncio.sleep(0)
    (unread,) = accepted
    unread.transport.pause_reading()
    handler = Echo()
    websocket = WebSocketTransport(unread.transport, handler, UPLOADS, "")
    unread.transport.set_protocol(websocket)
    assert not websocket.is_lost()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    while not websocket.is_lost():
        await asyncio.sleep(0)
    assert not handler.ending.done()
    websocket.close(4408, "heartbeat")
    assert await handler.ending == (4408, "heartbeat")
    assert not websocket.is_lost()  # nobody to look for
    server.close()


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
async def test_the_kernel_ends_connections_that_are_half_open():
    """Behind a line whose far end answers nothing any more: one with bytes on their way, one without, and one that
    nothing is read from, whose end the loop does not notice by itself."""
    options = SocketOptions(longest_interval=1.0, timeout=1.0)
    loop, accepted = asyncio.get_running_loop(), list[Accepted]()
    with SlowLines(1, kbit=10_000) as lines:
        server = await loop.create_server(lambda: Accepted(accepted), lines.host(0), 0)
        set_options(server.sockets[0], options)
        port = str(server.sockets[0].getsockname()[1])
        command = lines.inside(sys.executable, "-c", CLIENT, lines.host(0), port)
        client = await asyncio.create_subprocess_exec(*command)
        while len(accepted) < 3:
            await asyncio.sleep(0.01)
        sending, idle, unread = accepted
        unread.transport.pause_reading()
        handler = Echo()
        websocket = WebSocketTransport(unread.transport, handler, UPLOADS, "")
        cut = lines.inside("ip", "route", "add", "blackhole", f"{lines.host(0)}/32")
        assert await (await asyncio.create_subprocess_exec(*cut)).wait() == 0
        sending.transport.write(b"x")
        async with asyncio.timeout(options.lost_after() + 4):
            assert isinstance(await sending.lost, TimeoutError)
            assert isinstance(await idle.lost, TimeoutError)
            while not websocket.is_lost():
                await asyncio.sleep(0.1)
        assert not unread.lost.done()
        unread.transport.set_protocol(websocket)
        websocket.close(4408, "heartbeat")
        assert await handler.ending == (4408, "heartbeat")
        client.kill()
        await client.wait()
        server.close()
