"""A client on a transport that keeps what is written."""

import asyncio

import pytest

from bench.peers.client import PeerClient, ReceivedMessages

RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n"
FRAME = b"\x81\x02hi"


class WrittenTransport(asyncio.WriteTransport):
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def connected(greetings: int = 0) -> tuple[PeerClient, WrittenTransport]:
    client, transport = PeerClient(b"GET", ReceivedMessages(), greetings, None), WrittenTransport()
    client.connection_made(transport)
    return client, transport


async def test_messages_count_in_any_segmentation() -> None:
    client, transport = connected()
    for byte in RESPONSE % b"Sec-WebSocket-Extensions: permessage-deflate\r\n" + FRAME + FRAME:
        client.data_received(bytes((byte,)))
    assert transport.written == b"GET"
    assert client.ready.done()
    assert client.deflate
    assert client.received.count == 2


async def test_a_greeting_is_no_message() -> None:
    client, _ = connected(greetings=1)
    client.data_received(RESPONSE % b"")
    assert not client.ready.done()
    client.data_received(FRAME + FRAME)
    assert client.ready.done()
    assert not client.deflate
    assert client.received.count == 1


async def test_a_ping_is_answered() -> None:
    client, transport = connected()
    client.data_received(RESPONSE % b"" + b"\x89\x01p")
    assert transport.written == b"GET\x8a\x81\x00\x00\x00\x00p"
    assert client.received.count == 0


async def test_a_refusal_is_an_error() -> None:
    client, _ = connected()
    client.data_received(b"HTTP/1.1 429 Too Many Requests\r\n\r\n")
    with pytest.raises(ConnectionError, match="429"):
        await client.ready


async def test_a_lost_connection_is_an_error() -> None:
    client, _ = connected()
    client.connection_lost(None)
    with pytest.raises(ConnectionError, match="lost"):
        await client.ready


async def test_one_waits_for_a_number_of_messages() -> None:
    received = ReceivedMessages()
    waiting = asyncio.create_task(received.wait(2, 1))
    await asyncio.sleep(0)
    received.add()
    assert not waiting.done()
    received.add()
    await waiting
    await received.wait(2, 0)
    with pytest.raises(TimeoutError):
        await received.wait(3, 0)
