"""permessage-deflate between real gateways and clients that nobody here wrote: a push is compressed for those who have
agreed on a window, and plain for those who have not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import pytest_asyncio
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.interop.test_clients import drive, events, node  # noqa: F401 - `node` is a fixture
from tests.support.calls import push
from tests.support.cluster import Cluster, Service
from tests.support.servers import Server

pytestmark = [pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]
LARGE = json.dumps([{"id": number, "text": "grüße ✓"} for number in range(1000)], ensure_ascii=False).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing(tmp_path_factory: pytest.TempPathFactory, etcd: Server, redis: Server) -> AsyncIterator[Cluster]:
    """A gateway and a router."""
    made = Cluster(tmp_path_factory.mktemp("compressing"), etcd.endpoint, redis.endpoint)
    made.write_config(compression={"enabled": True, "threshold": 500}, max_message=100_000)
    await made.start_gateway()
    await made.start_router()
    yield made
    await made.stop()


def url(cluster: Cluster, gateway: Service, user: str) -> str:
    return f"{gateway.url}?token={cluster.token(user, 'doc')}&file=doc"


@pytest.mark.parametrize("client", ["websockets", "ws"])
async def test_clients_that_offer_it_get_it(compressing: Cluster, node: str, client: str) -> None:  # noqa: F811
    user, gateway, router = f"deflate-{client}", compressing.gateways[0], compressing.router()
    async with drive(client, node, url(compressing, gateway, user)) as driven:
        assert "permessage-deflate" in (await driven.next("open"))["extensions"]
        sent = [("text", b"small"), ("text", LARGE), ("binary", bytes(100_000)), ("text", b"")]
        for command, data in sent:
            await driven.do(command, data)
        got = await events(compressing, user, len(sent))
        assert [fields[b"value"] for fields in got] == [data for _, data in sent]
        for data in (b'"small"', LARGE):
            report = (await router.Push(push(user=user, data=data))).report
            assert dict(report.counts) == {"WRITTEN": 1}
            assert (await driven.message()).encode() == data
        await driven.do("binary", bytes(100_001))
        assert (await driven.next("close"))["code"] == 1009


async def test_aiohttp(compressing: Cluster) -> None:
    gateway, router = compressing.gateways[0], compressing.router()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url(compressing, gateway, "aio"), compress=12) as socket,
    ):
        assert socket.compress
        await socket.send_str(LARGE.decode())
        (fields,) = await events(compressing, "aio", 1)
        assert fields[b"value"] == LARGE
        await router.Push(push(user="aio", data=LARGE))
        assert (await socket.receive_str()).encode() == LARGE


async def test_one_push_to_receivers_of_every_kind(compressing: Cluster) -> None:
    gateway, router = compressing.gateways[0], compressing.router()
    kinds = [None, *range(9, 16)] * 2
    async with AsyncExitStack() as stack:
        clients = []
        for number, bits in enumerate(kinds):
            factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
            extensions = None if bits is None else [factory]
            connecting = websockets.connect(
                url(compressing, gateway, f"kind-{number}"), compression=None, extensions=extensions
            )
            clients.append(await stack.enter_async_context(connecting))
        report = (await router.Push(push(file="doc", data=LARGE))).report
        assert dict(report.counts) == {"WRITTEN": len(kinds)}
        received = await asyncio.gather(*(client.recv() for client in clients))
        assert set(received) == {LARGE.decode()}


async def test_where_it_is_off_it_is_declined_and_the_echo_has_it_all_the_same(compressing: Cluster) -> None:
    gateway = await compressing.start_gateway("--echo-path", "/echo", "--set", "gateway.compression.enabled=false")
    async with websockets.connect(f"{gateway.url}?token={compressing.token('off')}") as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers
    async with websockets.connect(gateway.url.replace("/ws", "/echo")) as client:
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        await client.send(LARGE)
        assert await client.recv() == LARGE
    assert "not for production" in gateway.log.read_text()
