"""permessage-deflate on real sockets, with the client of `websockets`; and the echo for conformance suites."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from gateway.door.admission import Origins
from gateway.door.echo import EchoEndpoint
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.routes import Routes
from gateway.door.upgrade import accept_for
from gateway.door.values import Arrival
from gateway.door.websocket_endpoint import WebSocketEndpoint
from gateway.identity.tokens import Tokens
from gateway.wire.bare import Bare
from gateway.wire.deflate import CompressionSettings, deflate_framings
from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from gateway.wire.values import Message
from observability import names
from observability.counters import counters
from tests.contract.door.test_the_door import Echo
from tests.support.deflated import deflated
from tests.support.frames import frame
from tests.support.heads import KEY, head
from tests.support.tokens import SHARED, sign

LIMIT = 65_536
UPLOADS = UploadRules(MessageLimits(LIMIT), UnfinishedMessages(10_000_000), lambda _upload, _seconds: None)
TEXT = "grüße ✓ " * 2000
OFFER = {"sec_websocket_extensions": "permessage-deflate"}


class FramedEcho(Echo):
    """Answers in the framing of its transport, as a connection does."""

    def on_message(self, text: bool, payload: bytes) -> None:
        assert self.transport is not None
        self.transport.send(self.transport.framing.frame((Message(text, (payload,)),)))


class EveryoneEchoes:
    async def enter(self, arrival: Arrival) -> FramedEcho:
        return FramedEcho()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    framings = deflate_framings(CompressionSettings())
    verify = Tokens([SHARED]).verify
    compressing = WebSocketEndpoint(Origins(), UPLOADS, EveryoneEchoes(), verify, (Bare(),), framings=framings)
    plain = WebSocketEndpoint(Origins(), UPLOADS, EveryoneEchoes(), verify, (Bare(),))
    echo = EchoEndpoint(UPLOADS.watch)
    routes = Routes({"/ws": compressing, "/plain": plain, "/echo": echo})
    listener = ClientListener(routes, HandshakeLimits(), counters(names.GATEWAY))
    yield (await listener.listen("127.0.0.1", 0))[1]
    await listener.close()


async def opened(port: int, path: str, **changes: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """The 101 of a plain socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(f"{path}?token={sign()}", **changes))
    return await reader.readuntil(b"\r\n\r\n"), reader, writer


@pytest.mark.parametrize("bits", [None, *range(9, 16)])
async def test_websockets_negotiates_it_with_every_window(port: int, bits: int | None) -> None:
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits, client_max_window_bits=bits or True)
    url = f"ws://127.0.0.1:{port}/ws?token={sign()}"
    async with websockets.connect(url, extensions=[factory], compression=None) as client:
        assert client.response.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        for message in ("short", TEXT, bytes(LIMIT), b"", "x" * LIMIT):
            await client.send(message)
            assert await client.recv() == message
        await client.send(iter(["a" * 3000, "b", "", "c" * 3000]))
        assert await client.recv() == "a" * 3000 + "b" + "c" * 3000
        await client.send(bytes(LIMIT + 1))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 1009


async def test_a_small_message_is_sent_as_it_is_and_a_large_one_compressed(port: int) -> None:
    answer, reader, writer = await opened(port, "/ws", **OFFER)
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover" in answer
    writer.write(frame(deflated(b"hi"), rsv=4) + frame(b"a" * 2000))
    assert await reader.readexactly(4) == b"\x81\x02hi"
    first, size = await reader.readexactly(2)
    assert first == 0xC1
    assert size < 50
    writer.close()


@pytest.mark.parametrize(
    ("path", "offer"),
    [("/plain", "permessage-deflate"), ("/ws", "permessage-deflate; server_max_window_bits=16"), ("/ws", "x")],
)
async def test_row_18_row_35_where_it_was_declined_nothing_may_be_compressed(port: int, path: str, offer: str) -> None:
    answer, reader, writer = await opened(port, path, sec_websocket_extensions=offer)
    assert b"Sec-WebSocket-Extensions" not in answer
    writer.write(frame(b"a" * 2000))
    assert (await reader.readexactly(2004))[4:] == b"a" * 2000
    writer.write(frame(deflated(b"hi"), rsv=4))
    assert (await reader.read())[2:4] == (1002).to_bytes(2, "big")
    writer.close()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (deflated(bytes(64_000_000)), 1009),
        (b"\x03\x00" * 30_000, 1007),
        (b"\xff" * 10, 1007),
        (deflated(b"\xff"), 1007),
    ],
    ids=["row_45", "row_46", "row_47", "row_48"],
)
async def test_hostile_compression_closes(port: int, payload: bytes, code: int) -> None:
    _, reader, writer = await opened(port, "/ws", **OFFER)
    writer.write(frame(payload, rsv=4))
    assert (await reader.read())[2:4] == code.to_bytes(2, "big")
    writer.close()


async def test_the_echo_needs_no_token_and_takes_17_mib_in_any_number_of_frames(port: int) -> None:
    url = f"ws://127.0.0.1:{port}/echo"
    async with websockets.connect(url, max_size=None) as client:
        for message in ("", "a", TEXT, bytes(17 * 1024 * 1024)):
            await client.send(message)
            assert await client.recv() == message
        await client.send(iter(["x"] * 500))
        assert await client.recv() == "x" * 500
        await client.send(bytes(17 * 1024 * 1024 + 1))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd.code == 1009


async def test_the_echo_reads_no_more_from_a_client_that_does_not_read(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("/echo"))
    assert accept_for(KEY).encode() in await reader.readuntil(b"\r\n\r\n")
    number, large = 40, frame(bytes(1_000_000), 2)
    sending = asyncio.create_task(send_all(writer, large * number))
    await asyncio.sleep(0.2)
    assert not sending.done()
    for _ in range(number):
        await reader.readexactly(1_000_000 + 10)
    await sending
    writer.write(frame(b"p", 9) + frame(b"", 10))
    assert await reader.readexactly(3) == b"\x8a\x01p"
    writer.close()


async def send_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_the_echo_refuses_what_is_no_websocket(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head("/echo", upgrade=None))
    assert (await reader.read()).startswith(b"HTTP/1.1 426 ")
    writer.close()
