"""What the kernel is set to do for each accepted connection, read from the accepted socket itself."""

import asyncio
import socket

import pytest

from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.routes import Routes
from gateway.door.socket_options import TCP_NOTSENT_LOWAT, SocketOptions
from observability import names
from observability.counters import counters

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
