"""A gRPC server on real sockets: how it stops, with calls that end, calls that do not, and callers that do not read."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import dial
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.server import GrpcServer
from runtime.grpc_wire.status import OK, UNAVAILABLE, StreamEnded

PATH = "/a.Service/Stream"
WIDE = Http2Limits(stream_window=16 * 1024 * 1024)


class Handler:
    """One end of a stream: keeps what arrives."""

    def __init__(self, call: Call | None = None) -> None:
        self.call = call
        self.messages: list[bytes] = []
        self.arrived = asyncio.Event()
        self.ended: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)
        self.arrived.set()

    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...

    def on_end(self, how: StreamEnded) -> None:
        self.ended.set_result(how)


class Rig:
    """A server, and the ends of the calls that it serves."""

    def __init__(self) -> None:
        self.served: list[Handler] = []
        self.server = GrpcServer({PATH: self._serve})
        self.port = 0

    def _serve(self, call: Call) -> Handler:
        self.served.append(Handler(call))
        return self.served[-1]

    async def call(self) -> tuple[Call, Handler]:
        """A call whose first message has arrived."""
        handler = Handler()
        call = await dial(f"127.0.0.1:{self.port}", PATH, handler, WIDE)
        before = len(self.served)
        call.send(b"hi")
        async with asyncio.timeout(5):
            while len(self.served) == before:
                await asyncio.sleep(0.001)
            await self.served[-1].arrived.wait()
        return call, handler

    async def ended(self, handler: Handler) -> int:
        return (await asyncio.wait_for(handler.ended, 5)).status


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    made.port = await made.server.listen("127.0.0.1", 0)
    yield made
    await made.server.close()


async def test_a_server_that_never_listened_has_nothing_to_stop() -> None:
    server = GrpcServer({})
    await server.drain(60)
    await server.close(60)


async def test_a_drain_waits_for_open_calls_and_takes_no_more(rig: Rig) -> None:
    _, one = await rig.call()
    _, two = await rig.call()
    draining = asyncio.ensure_future(rig.server.drain(60))
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await dial(f"127.0.0.1:{rig.port}", PATH, Handler())
    for served, handler in zip(rig.served, (one, two), strict=True):
        assert not draining.done()
        served.call.end()
        assert await rig.ended(handler) == OK
    await asyncio.wait_for(draining, 5)


async def test_a_drain_ends_with_its_grace_and_a_close_ends_the_calls(rig: Rig) -> None:
    _, handler = await rig.call()
    await rig.server.drain(0.01)
    assert not handler.ended.done()
    await rig.server.close()
    assert await rig.ended(handler) == UNAVAILABLE
    assert await rig.ended(rig.served[0]) == UNAVAILABLE


async def test_who_leaves_holds_up_no_close(rig: Rig) -> None:
    leaves, _ = await rig.call()
    _, stays = await rig.call()
    leaves.cancel()
    await rig.ended(rig.served[0])
    async with asyncio.timeout(5):
        await rig.server.close(60)
    assert await rig.ended(stays) == UNAVAILABLE


async def test_a_caller_that_does_not_read_is_aborted_after_the_grace(rig: Rig) -> None:
    call, handler = await rig.call()
    transport = call._transport.transport
    assert transport is not None
    transport.pause_reading()
    rig.served[0].call.send(bytes(15_000_000))  # more than the kernel takes
    assert not rig.served[0].call.writable
    async with asyncio.timeout(5):
        await rig.server.close(0.05)
    transport.resume_reading()
    assert await rig.ended(handler) == UNAVAILABLE
    assert handler.messages == []
