"""WRITTEN means that the kernel has the frame: it arrives, whatever becomes of the gateway (docs/api.md, "Outcomes").

Clients do not read, their windows and the gateway's buffers are full, and the gateway gets SIGKILL.
"""

import asyncio
import json
import socket
import ssl
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import websockets

from homing.v1.router_pb2 import Delivery
from tests.support.calls import push
from tests.support.certificates import Authority
from tests.support.cluster import Cluster

pytestmark = pytest.mark.timeout(90)

CLIENTS = 20
WINDOW = 16 * 1024  # bytes of a client's receive buffer
DATA = b'"' + b"x" * 16_000 + b'"'


async def _connect(
    cluster: Cluster, url: str, user: str, tls: ssl.SSLContext | None, stack: AsyncExitStack
) -> tuple[int, websockets.ClientConnection]:
    found = urlsplit(url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (found.hostname, found.port))
    headers = {"Authorization": f"Bearer {cluster.token(user, 'doc')}"}
    connecting = websockets.connect(
        f"{url}?file=doc",
        sock=sock,
        ssl=tls,
        subprotocols=[websockets.Subprotocol("homing.json")],
        additional_headers=headers,
        compression=None,
        max_queue=1,
        ping_interval=None,
    )
    connection = await stack.enter_async_context(connecting)
    return int(json.loads(await connection.recv())["session"]), connection


async def _received(connection: websockets.ClientConnection) -> set[str]:
    """The pushes that arrive until the connection ends."""
    pushes = set()
    with suppress(websockets.ConnectionClosed):
        while True:
            pushes.add(json.loads(await connection.recv())["push"])
    return pushes


@pytest.mark.parametrize("over", ["plain", "tls"])
async def test_what_is_written_arrives_after_sigkill(cluster: Cluster, tmp_path: Path, over: str) -> None:
    flags, tls = (), None
    if over == "tls":
        authority = Authority(tmp_path)
        pair = authority.issue("gateway.test")
        flags, tls = ("--cert", pair.cert, "--key", pair.key), ssl.create_default_context(cafile=authority.ca)
    gateway = await cluster.start_gateway(*flags)
    await cluster.start_router()
    router = cluster.router()
    async with AsyncExitStack() as stack:
        clients = [await _connect(cluster, gateway.url, f"user-{number}", tls, stack) for number in range(CLIENTS)]
        written: set[tuple[str, int]] = set()
        queued = 0
        for number in range(200):
            report = (await router.Push(push(file="doc", push_id=f"p{number}", data=DATA))).report
            outcomes = [delivery.outcome for delivery in report.deliveries]
            written |= {(f"p{number}", one.session) for one in report.deliveries if one.outcome == Delivery.WRITTEN}
            queued += outcomes.count(Delivery.QUEUED)
            if Delivery.WRITTEN not in outcomes:
                break
        assert queued >= CLIENTS, "nobody's buffers were full"
        await gateway.kill()
        received = await asyncio.gather(*(_received(connection) for _, connection in clients))
    arrived = {(one, session) for (session, _), pushes in zip(clients, received, strict=True) for one in pushes}
    assert not written - arrived
    assert len(written) > CLIENTS
