"""`homing trace --collect` as a server: what is sent over gRPC and HTTP is shown, and its errors are the protocol's."""

import asyncio
import gzip
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from homing.cluster.errors import CommandError
from homing.command import trace_collector
from tests.unit.homing.command.test_collected_traces import OTHER, TRACE, request

PUSH = ("push", 1, 0, 0, 1000)
PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Collecting:
    """A collector in this process. `shown`: the ids of the traces that it has shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.ready: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(
            trace_collector.collect(
                "127.0.0.1:0",
                "127.0.0.1:0",
                lambda *addresses: self.ready.set_result(addresses),
                lambda trace: self.shown.append(trace.trace_id),
            )
        )

    async def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await self.task


@pytest_asyncio.fixture
async def collecting() -> AsyncIterator[Collecting]:
    made = Collecting()
    await made.ready
    yield made
    if not made.task.done():
        await made.stop()


async def post(collecting: Collecting, body: bytes, **headers: str) -> tuple[int, bytes]:
    _, http = await collecting.ready
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{http}/v1/traces", data=body, headers=PROTOBUF | headers) as response,
    ):
        return response.status, await response.read()


async def test_both_protocols_and_a_signal_that_shows_what_is_left(collecting: Collecting) -> None:
    address, _ = await collecting.ready
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = trace_service_pb2_grpc.TraceServiceStub(channel)
        assert await stub.Export(request(PUSH)) == ExportTraceServiceResponse()
    assert await post(collecting, request(PUSH, trace_id=OTHER).SerializeToString()) == (200, b"")
    await collecting.stop()
    assert collecting.shown == [TRACE, OTHER]


async def test_a_trace_is_shown_when_it_is_complete(collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homing.command.collected_traces.QUIET", 0.0)
    body = gzip.compress(request(PUSH).SerializeToString())
    assert (await post(collecting, body, **{"Content-Encoding": "gzip"}))[0] == 200
    async with asyncio.timeout(5):
        while not collecting.shown:
            await asyncio.sleep(0.01)
    assert collecting.shown == [TRACE]


async def test_other_bodies_are_refused(collecting: Collecting) -> None:
    assert (await post(collecting, b"{}", **{"Content-Type": "application/json"}))[0] == 415
    assert (await post(collecting, b"\xff"))[0] == 400


async def test_an_address_in_use_is_one_line(collecting: Collecting) -> None:
    addresses = await collecting.ready
    for pair, option in (((addresses[0], "127.0.0.1:0"), "--grpc"), (("127.0.0.1:0", addresses[1]), "--http")):
        with pytest.raises(CommandError, match=rf"cannot listen at .*; name another address with {option} HOST:PORT"):
            await trace_collector.collect(*pair, lambda *_: None, lambda _trace: None)
