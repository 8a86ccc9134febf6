"""One HTTP request on a connection whose kernel buffer, and whose node's budget, may be full."""

import asyncio
import typing

import pytest

from gateway.door.head import Head
from gateway.engineio.exchange import MAX_BEHIND, HttpExchange
from gateway.engineio.requests import TOO_LARGE
from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from tests.support.transport import MemoryTransport


class Request:
    """The door, which reads on."""

    def __init__(self) -> None:
        self.behind: list[bytes] = []

    def follow(self, transport: asyncio.Transport, behind: bytes) -> None:
        self.behind.append(behind)


class Rig:
    def __init__(self, behind: bytes = b"", budget: int = 100, **headers: str) -> None:
        self.transport = MemoryTransport()
        self.transport.set_protocol = self._set  # type: ignore[method-assign,assignment]
        self.request = Request()
        self.rules = UploadRules(MessageLimits(1000), UnfinishedMessages(budget), lambda _upload, _seconds: None)
        head = Head("POST", "/", (), 1, {name.replace("_", "-"): value for name, value in headers.items()})
        self.exchange = HttpExchange(self.request, self.transport, head, behind, self.rules)  # type: ignore[arg-type]
        self.bodies: list[bytes] = []
        self.events: list[str] = []
        self.exchange.on_lost = lambda: self.events.append("lost")

    def _set(self, protocol: asyncio.Protocol) -> None:
        self.transport.protocol = protocol


def test_an_answer_that_the_kernel_takes_later() -> None:
    rig = Rig()
    rig.transport.full = True
    assert not rig.exchange.reply(200, b"x", on_written=lambda: rig.events.append("written"))
    assert not rig.exchange.reply(200, b"again")
    assert rig.request.behind == []
    rig.transport.drain()
    assert (rig.events, rig.request.behind) == (["written"], [b""])
    assert rig.transport.written.endswith(b"keep-alive\r\n\r\nx")


def test_a_client_that_is_gone_before_the_kernel_has_the_answer() -> None:
    rig = Rig()
    rig.transport.full = True
    rig.exchange.reply(200, b"x", on_written=lambda: rig.events.append("written"))
    rig.exchange.connection_lost(None)
    assert rig.events == ["lost"]


def test_a_body_in_parts_and_what_is_behind_it() -> None:
    rig = Rig(b"ab", content_length="4")
    rig.exchange.read_body(rig.bodies.append)
    rig.exchange.data_received(b"cdGET")
    assert rig.bodies == [b"abcd"]
    rig.exchange.data_received(b" /")
    rig.exchange.reply(200, b"")
    assert rig.request.behind == [b"GET /"]
    rig.exchange.on_deadline()


def test_bytes_behind_a_request_are_bounded() -> None:
    rig = Rig()
    rig.exchange.data_received(b"x" * (MAX_BEHIND + 1))
    assert not rig.transport.reading


def test_a_body_counts_against_the_node_s_budget() -> None:
    rig = Rig(b"", content_length="200")
    other = Rig(content_length="200")
    other.rules = rig.rules
    second = HttpExchange(other.request, other.transport, rig.exchange.head, b"", rig.rules)  # type: ignore[arg-type]
    rig.exchange.read_body(rig.bodies.append)
    second.read_body(other.bodies.append)
    rig.exchange.data_received(b"a" * 90)
    second.data_received(b"b" * 90)
    assert not other.transport.reading
    rig.exchange.data_received(b"a" * 110)
    assert other.transport.reading
    other.transport.closing = True
    second.continue_upload()


async def test_a_refusal_ends_the_connection() -> None:
    rig = Rig()
    rig.exchange.refuse(TOO_LARGE)
    assert rig.transport.eof
    rig.exchange.data_received(b"dropped")
    rig.exchange.resume_writing()
    assert rig.request.behind == []


async def test_a_transport_without_a_half_close_is_closed() -> None:
    rig = Rig(connection="close")
    rig.transport.can_write_eof = lambda: False  # type: ignore[method-assign]
    rig.exchange.reply(200, b"x")
    assert rig.transport.closing
    closed = Rig()
    closed.transport.closing = True
    assert not closed.exchange.reply(200, b"")


def test_the_body_s_deadline() -> None:
    rig = Rig(content_length="5", connection="close")
    rig.exchange.read_body(rig.bodies.append)
    with pytest.raises(RuntimeError):  # no loop: the answer was written, and its lingering begins
        rig.exchange.on_deadline()
    assert b" 408 " in rig.transport.written


def test_a_drained_transport_without_an_answer_says_nothing() -> None:
    rig = Rig()
    rig.exchange.resume_writing()
    assert typing.cast("list[str]", rig.events) == []
