"""Shell: the one port. Judges each newcomer's head, waits for the house to admit it, hands the transport over.

A newcomer costs one object, one timer for its head, and one task while the house is asked; once the transport is handed
over, or closed, none of them is left. While the house is asked nothing is read, so what a client can make us hold is
what came in one read, and of that at most `max_held`.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from typing import cast

import msgspec

from gateway.close_codes import NO_GOODBYE
from gateway.door.admission import Origins, judge_arrival
from gateway.door.answers import refused, switching
from gateway.door.head import Head, HeadReader
from gateway.door.ports import AdmissionPort, DevelopmentPages
from gateway.door.upgrade import Handshake, judge_upgrade
from gateway.door.values import Arrival, Refusal
from gateway.identity.ports import Verify
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.messages import MessageLimits
from gateway.wire.ports import Codec, Peer
from gateway.wire.websocket import WebSocketConnection

BACKLOG = 4096  # connections the kernel holds while the loop is busy with a storm of others
LINGER_SECONDS = 1.0  # for a refused client to read its answer

_logger = logging.getLogger(__name__)
_LATE = Refusal(408, "timeout", "the request head took too long")
_HELD_TOO_MUCH = Refusal(413, "too_large", "too much was sent before the handshake was answered")
_HOUSE_FAILED = Refusal(500, "internal", "this gateway failed; it is not your fault")
_HOUSE_SLOW = Refusal(503, "unavailable", "this gateway could not admit you in time", (("Retry-After", "1"),))


class DoorSettings(msgspec.Struct, frozen=True):
    """What the door needs to know."""

    path: str = "/ws"  # where WebSockets are opened
    origins: Origins = Origins()  # which pages may connect
    limits: MessageLimits = MessageLimits()  # what one client may send
    head_seconds: float = 5.0  # from the connection's start to the end of its request head
    admission_seconds: float = 5.0  # for the house to answer
    max_held: int = 64 * 1024  # bytes of head and of what is sent behind it, before the handshake is answered


class ClientListener:
    """Listens, and owns every connection that is not handed over yet, with its task."""

    def __init__(
        self,
        settings: DoorSettings,
        house: AdmissionPort,
        verify: Verify,
        codecs: Iterable[Codec] = (Bare(), JsonEnvelope()),
        clock: Callable[[], float] = time.time,
        pages: DevelopmentPages | None = None,
    ) -> None:
        self.settings = settings
        self.pages = pages
        self.newcomers: set[HandshakeProtocol] = set()
        self._house = house
        self._verify = verify
        self._codecs = {codec.name: codec for codec in codecs}
        self._subprotocols = frozenset(self._codecs) - {""}
        self._clock = clock  # seconds since the Unix epoch, for tokens
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open the port (0: a free one) and say which; raises OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: HandshakeProtocol(self), host, port, backlog=BACKLOG)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    def stop_listening(self) -> None:
        """Take nobody new; those inside, and those at the door, go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        """Stop listening and turn away whoever is still at the door; connections handed over are not ours any more."""
        self.stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for newcomer in list(self.newcomers):
            newcomer.abort()

    def judge(self, head: Head, address: str) -> tuple[Handshake, Arrival] | Refusal:
        """What this head is worth, before the house is asked."""
        handshake = judge_upgrade(head, self.settings.path, self._subprotocols)
        if isinstance(handshake, Refusal):
            return handshake
        codec = self._codecs[handshake.subprotocol]
        arrival = judge_arrival(head, codec, self.settings.origins, self._verify, address, self._clock())
        return arrival if isinstance(arrival, Refusal) else (handshake, arrival)

    def admit(self, newcomer: "HandshakeProtocol", handshake: Handshake, arrival: Arrival) -> asyncio.Task[None]:
        """Ask the house in a task of our own, then hand the newcomer over or refuse it."""
        task = asyncio.get_running_loop().create_task(self._admit(newcomer, handshake, arrival))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _admit(self, newcomer: "HandshakeProtocol", handshake: Handshake, arrival: Arrival) -> None:
        try:
            answer = await self._house.enter(arrival)
        except Exception:
            _logger.exception("admitting a newcomer failed", extra={"peer": arrival.address})
            answer = _HOUSE_FAILED
        if isinstance(answer, Refusal):
            newcomer.refuse(answer)
        else:
            newcomer.hand_over(handshake, answer)


class HandshakeProtocol(asyncio.Protocol):
    """A connection at the door: its head is read, or the house is asked, or it was refused and may read why.

    One timer serves all three. While the house is asked it runs on from the head, and is set anew only if it fires.
    """

    __slots__ = (
        "_address",
        "_asked",
        "_behind",
        "_doorway",
        "_reader",
        "_received",
        "_refused",
        "_timer",
        "_transport",
    )

    def __init__(self, doorway: ClientListener) -> None:
        self._doorway = doorway
        self._reader: HeadReader | None = HeadReader()  # None: the head was judged
        self._received = 0  # bytes
        self._behind = b""  # what came behind the head
        self._address = ""
        self._asked: tuple[float, asyncio.Task[None]] | None = None  # since when (loop time) the house is asked
        self._refused = False
        self._transport: asyncio.Transport | None = None  # None: gone
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._address = _name(transport.get_extra_info("peername"))
        self._doorway.newcomers.add(self)
        self._set_timer(self._doorway.settings.head_seconds, self._late)

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            return  # refused: what it still sends is dropped
        self._received += len(data)
        verdict = self._reader.feed(data)
        if verdict is None:
            return
        if isinstance(verdict, Head):
            self._judge(verdict, self._reader.rest)
        else:
            self.refuse(verdict)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def refuse(self, refusal: Refusal) -> None:
        """Answer in plain HTTP and end. A socket that is closed with unread bytes is reset, and a reset may overtake
        the answer: so our side is closed first, and what the client still sends is read and dropped for a moment."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._refused:
            return
        request_id = secrets.token_hex(8)
        self._log(refusal, request_id)
        self._reader = None
        self._refused = True
        self._stop_timer()
        transport.write(refused(refusal, request_id))
        if not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        transport.resume_reading()
        self._set_timer(LINGER_SECONDS, transport.abort)

    def hand_over(self, handshake: Handshake, peer: Peer) -> None:
        """The house said yes: write the 101 and let the WebSocket take the transport."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._refused:
            peer.closed(NO_GOODBYE.code, NO_GOODBYE.reason)
            return
        behind = self._behind
        connection = WebSocketConnection(transport, peer, self._doorway.settings.limits, self._address)
        self._forget()
        transport.set_protocol(connection)
        connection.open(switching(handshake), behind)

    def abort(self) -> None:
        """End now, without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _judge(self, head: Head, behind: bytes) -> None:
        assert self._transport is not None
        self._reader = None
        pages = self._doorway.pages
        if pages is not None and pages.owns(head.path):
            self._judge_page(pages, head, behind)
            return
        self._behind = behind
        self._transport.pause_reading()
        judged = self._doorway.judge(head, self._address)
        if isinstance(judged, Refusal):
            self.refuse(judged)
        elif self._received > self._doorway.settings.max_held:
            self.refuse(_HELD_TOO_MUCH)
        else:
            self._asked = asyncio.get_running_loop().time(), self._doorway.admit(self, *judged)

    def _judge_page(self, pages: DevelopmentPages, head: Head, behind: bytes) -> None:
        """A head that is not for a WebSocket: refuse it, or lend the transport for this one request."""
        refusal = pages.judge(head)
        if refusal is not None:
            self.refuse(refusal)
            return
        transport = self._transport
        assert transport is not None
        self._forget()
        pages.take(transport, head, behind)

    def _late(self) -> None:
        """The head is not complete in time, or the house has not answered in time (or may yet)."""
        if self._asked is None:
            self.refuse(_LATE)
            return
        since, task = self._asked
        left = since + self._doorway.settings.admission_seconds - asyncio.get_running_loop().time()
        if left > 0:
            self._set_timer(left, self._late)
            return
        _logger.warning("no answer about a newcomer in time", extra={"peer": self._address})
        self.refuse(_HOUSE_SLOW)
        task.cancel()

    def _log(self, refusal: Refusal, request_id: str) -> None:
        """One line for each that is turned away; never its target, which may hold a token."""
        fields = {"peer": self._address, "status": refusal.status, "code": refusal.code, "request_id": request_id}
        _logger.info("refused at the door: %s", refusal.message, extra=fields)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self) -> None:
        """Leave nothing behind that holds the transport."""
        self._stop_timer()
        self._transport = self._asked = None
        self._behind = b""
        self._doorway.newcomers.discard(self)


def _name(address: object) -> str:
    """host:port of a socket address; "" when the client was gone before it could be asked."""
    if not isinstance(address, tuple) or len(address) < 2:
        return ""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
