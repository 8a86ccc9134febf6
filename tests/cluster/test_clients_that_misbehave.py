"""Clients that never speak, never read, or go without a word: each ends as the table says, and nobody else notices."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator

import pytest
import websockets

from tests.support.calls import push
from tests.support.cluster import Cluster, connect
from tests.support.frames import frame
from tests.support.heads import head

pytestmark = pytest.mark.timeout(60)
JSON = [websockets.Subprotocol("homing.json")]


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes what a test opens, also when it fails."""
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.fixture
async def one(cluster: Cluster) -> Cluster:
    """One gateway with short bounds, and a router."""
    cluster.write_config(
        heartbeat={"interval": 0.6, "timeout": 0.5},
        slow={"unsent_bytes": 200_000, "stalled_s": 3.0},
        limits={"messages_per_second": 0, "bytes_per_second": 0},  # bounds that hold even for those within them
    )
    await cluster.start_gateway()
    await cluster.start_router()
    return cluster


async def test_row_33_no_auth_in_time_is_4408(one: Cluster) -> None:
    began = time.monotonic()
    async with websockets.connect(one.gateways[0].url, subprotocols=JSON) as silent:
        await silent.wait_closed()
    assert (silent.close_code, silent.close_reason) == (4408, "auth")
    assert 4.9 < time.monotonic() - began < 7


async def test_row_33_another_first_message_is_4401(one: Cluster) -> None:
    async with websockets.connect(one.gateways[0].url, subprotocols=JSON) as rude:
        await rude.send('{"type": "event", "event": "e", "data": 1}')
        assert json.loads(await rude.recv())["code"] == "unauthorized"
        await rude.wait_closed()
    assert rude.close_code == 4401


async def test_a_dead_client_is_found_by_its_heartbeat(one: Cluster) -> None:
    """It is there for TCP, and answers nothing."""
    gateway = one.gateways[0]
    host, port = gateway.url.removeprefix("ws://").removesuffix("/ws").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head(f"/ws?token={one.token('dead')}"))
    await reader.readuntil(b"\r\n\r\n")
    async with connect(one, gateway, "alive") as alive:
        rest = await asyncio.wait_for(reader.read(), 10)
        assert rest.startswith(b"\x89\x00")  # the ping it did not answer
        assert b"\x88\x0b\x11\x38heartbeat" in rest
        assert (await alive.ask(type="ping"))["type"] == "pong"
        assert dict((await one.router().Push(push(user="dead"))).report.counts) == {"OFFLINE": 1}
    writer.close()


async def test_row_53_who_never_reads_is_queued_then_dropped_then_closed_and_delays_nobody(
    one: Cluster, stack: contextlib.ExitStack
) -> None:
    gateway, router = one.gateways[0], one.router()
    host, port = gateway.url.removeprefix("ws://").removesuffix("/ws").split(":")
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    await asyncio.get_running_loop().sock_sendall(sock, head(f"/ws?token={one.token('slow', 'doc')}&file=doc"))
    async with connect(one, gateway, "quick", "doc") as quick:
        data = b'"' + b"x" * 60_000 + b'"'
        seen: list[str] = []
        async with asyncio.timeout(30):
            while "DROPPED_SLOW" not in seen and "OFFLINE" not in seen:
                began = time.monotonic()
                other = asyncio.ensure_future(router.Push(push(user="quick")))
                report = (await router.Push(push(user="slow", data=data))).report
                seen += report.counts
                assert dict((await other).report.counts) == {"WRITTEN": 1}
                await quick.receive()
                if "QUEUED" in report.counts:
                    assert 0.9 < time.monotonic() - began < 2.5
        assert seen[0] == "WRITTEN"
        assert "QUEUED" in seen
        assert seen[-1] == "DROPPED_SLOW" or seen.count("QUEUED") >= 2
        async with asyncio.timeout(10):
            while dict((await router.Push(push(user="slow"))).report.counts) != {"OFFLINE": 1}:
                await asyncio.sleep(0.05)
        assert dict((await router.Push(push(file="doc"))).report.counts) == {"WRITTEN": 1}


async def test_a_client_that_floods_small_messages_holds_up_nobody(one: Cluster) -> None:
    """All of it is valid. It came at 3 MB a second once, and others' pings took 6 s (issue 10, D2)."""
    gateway = one.gateways[0]
    async with connect(one, gateway, "flood") as flooding, connect(one, gateway, "ada") as quiet:
        flood, other = flooding.connection, quiet.connection
        acks = frame(b'{"type":"ack","ack":7}') * 100_000
        waits, until = [], time.monotonic() + 2
        while time.monotonic() < until:
            if not flood.transport.get_write_buffer_size():
                flood.transport.write(acks)
            began = time.monotonic()
            await (await other.ping())
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.1)  # more than 20 pings a second are too many
        assert flood.close_code is None  # not cut: nothing of it is wrong
        flood.transport.abort()
    assert max(waits) < 0.5


async def test_row_52_a_client_over_its_rate_is_closed_and_may_return(cluster: Cluster) -> None:
    cluster.write_config(limits={"messages_burst": 20, "messages_per_second": 1, "connections_per_address": 2})
    gateway = await cluster.start_gateway("--max-segment", "1200", "--set", "gateway.heartbeat.growth=3")
    await cluster.start_router()
    async with connect(cluster, gateway, "flood") as flood, connect(cluster, gateway, "quiet") as quiet:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{gateway.url}?token={cluster.token('third')}")
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "5")
        for _ in range(25):
            await flood.connection.send('{"type":"ping"}')
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await flood.receive()
        assert (flood.connection.close_code, flood.connection.close_reason) == (4429, "rate")
        async with connect(cluster, gateway, "flood") as again:
            assert (await again.ask(type="ping"))["type"] == "pong"
        assert (await quiet.ask(type="ping"))["type"] == "pong"
    assert "heartbeats are rarer than proxies allow" in gateway.log.read_text()
