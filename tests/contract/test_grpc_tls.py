"""gRPC over TLS under load, both ways: every call is answered, with PINGs beside the answers and windows that fill.

A transport over TLS calls an empty write buffer full when its limit is 0 (issue 10): then calls stalled, and with a
PING beside each answer every later one timed out.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.store import Put, StoreUnavailable
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.channel import Channel, Tls, unary_call
from runtime.grpc_wire.server import GrpcServer
from runtime.grpc_wire.status import StreamEnded
from tests.support.certificates import Authority
from tests.support.servers import free_port, start_etcd

PATH = "/a.Service/Echo"
CALLS = 400
SIZES = (10, 20_000, 300_000)  # bytes: one record of TLS, two, and more than a window


class Echo:
    """Sends its request back, with a PING beside the answer."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def on_message(self, message: bytes) -> None:
        self._call.send(message)
        self._call._transport.connection.ping()
        self._call.end()

    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[Channel]:
    """A channel to a server of ours, over TLS."""
    authority = Authority(tmp_path)
    pair = authority.issue("server.test")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    server = GrpcServer({PATH: Echo})
    port = await server.listen("127.0.0.1", 0, context)

    async def addresses() -> list[tuple[str, int]]:
        return [("127.0.0.1", port)]

    opened = Channel(addresses, Tls(ssl.create_default_context(cafile=authority.ca), "server.test"))
    yield opened
    opened.close()
    await server.close()


async def test_every_call_over_tls_is_answered(channel: Channel) -> None:
    async def echo(number: int) -> int:
        request = BytesValue(value=bytes([number % 251]) * SIZES[number % len(SIZES)])
        return await unary_call(channel, PATH, request, 20.0) == request.SerializeToString()

    for concurrent in (1, 40):
        limit = asyncio.Semaphore(concurrent)

        async def one(number: int, limit: asyncio.Semaphore = limit) -> int:
            async with limit:
                return await echo(number)

        assert sum(await asyncio.gather(*map(one, range(CALLS)))) == CALLS


async def test_every_transaction_with_an_etcd_over_tls_is_answered(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    pair, url = authority.issue("etcd.test"), f"https://127.0.0.1:{port}"
    flags = ["--listen-client-urls", url, "--advertise-client-urls", url]
    flags += ["--cert-file", pair.cert, "--key-file", pair.key]
    with start_etcd(tmp_path, *flags, wait=False):
        settings = EtcdSettings(
            endpoints=(f"127.0.0.1:{port}",), ca=authority.ca, server_name="etcd.test", timeout=10.0
        )
        store = EtcdStore(settings)
        async with asyncio.timeout(60):
            while True:  # its own readiness speaks no TLS
                with contextlib.suppress(StoreUnavailable):
                    await store.revision()
                    break
                await asyncio.sleep(0.1)
            values = [b"x" * SIZES[number % len(SIZES)] for number in range(CALLS)]
            puts = [store.transaction([], [Put(f"/{number}", value)]) for number, value in enumerate(values)]
            answers = [await asyncio.gather(*puts[at : at + 20]) for at in range(0, CALLS, 20)]
            got = [await store.get(f"/{number}") for number in range(CALLS)]
        assert sum(map(len, answers)) == CALLS
        assert [entry.value for entry in got if entry is not None] == values
        await store.close()
