"""Shell: one client connection from its first byte until its request is served or refused.

It costs one object and one timer, and none is left once the transport is released or closed. While an answer is
awaited nothing is read, so what a client can make this process hold is what came in one read, and of that at most
`max_held` bytes.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Protocol, cast

import msgspec

from gateway.door.answers import refused
from gateway.door.head import Head, HeadReader
from gateway.door.routes import Routes
from gateway.door.values import Refusal
from gateway.identity.identity import Identity
from gateway.tls.records import ALERT, HANDSHAKE_RECORD
from runtime.process.addresses import peer_address

KEEP_ALIVE_SECONDS = 75.0  # for the next request of a connection; proxies give up before (nginx: 60 s)
LINGER_SECONDS = 1.0  # for a refused client to read its answer

log = logging.getLogger(__name__)

_NOT_FOUND = Refusal(404, "not_found", "there is nothing at this path")
_LATE = Refusal(408, "timeout", "the request head took too long")
_HELD_TOO_MUCH = Refusal(413, "too_large", "too much was sent before the handshake was answered")
_ADMISSION_SLOW = Refusal(503, "unavailable", "this gateway could not admit you in time", (("Retry-After", "1"),))


class HandshakeLimits(msgspec.Struct, frozen=True):
    """What a client may take and send before its request is answered."""

    head_seconds: float = 5.0  # from the connection's start to the end of its request head
    admission_seconds: float = 5.0  # for the answer
    max_held: int = 64 * 1024  # bytes of head and of what follows it, before the answer
    max_pending: int = 10_000  # connections without an answer; more are ended at once
    max_idle: int = 10_000  # connections between two requests; more are ended when they are answered


class HandshakeProtocol(asyncio.Protocol):
    """A connection whose head is read, whose answer is awaited, or which was refused and may read why.

    One timer serves all three. While an answer is awaited it runs on from the head, and is set anew only if it fires.
    """

    __slots__ = (
        "_answering",
        "_began",
        "_follows",
        "_idle",
        "_is_head",
        "_limits",
        "_pending",
        "_reader",
        "_received",
        "_refused",
        "_routes",
        "_timer",
        "_transport",
        "address",
        "certified",
    )

    def __init__(
        self,
        routes: Routes,
        limits: HandshakeLimits,
        pending: "set[PendingConnection]",
        began: float | None = None,
        address: str = "",
        certified: Identity | None = None,
        idle: "set[PendingConnection] | None" = None,
        follows: bool = False,
    ) -> None:
        """`pending`: where this is while it owns the transport. `began`: when the connection did, loop time; None: now.
        `address`: the client's host:port; "": that of the transport. `certified`: who it is by its certificate.
        `idle`: where this is between two requests; None: there is only one. `follows`: it is not the first."""
        self._idle = idle
        self._follows = follows
        self.address = address
        self.certified = certified
        self._began = began
        self._routes = routes
        self._limits = limits
        self._pending = pending
        self._reader: HeadReader | None = HeadReader()  # None: the head was checked
        self._received = 0  # bytes
        self._answering: tuple[float, asyncio.Task[None]] | None = None  # since when (loop time)
        self._is_head = False
        self._refused = False
        self._transport: asyncio.Transport | None = None  # None: gone, or released
        self._timer: asyncio.TimerHandle | None = None

    # From the transport ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self.address = self.address or peer_address(transport)
        if self._follows and self._idle is not None:
            self._idle.add(self)
            self._set_timer(KEEP_ALIVE_SECONDS, self._transport.close)
        else:
            self._begin()

    def _begin(self) -> None:
        """The time for the head runs."""
        self._pending.add(self)
        now = asyncio.get_running_loop().time()
        since = now if self._began is None else self._began
        self._set_timer(max(0.0, since + self._limits.head_seconds - now), self._on_timer)

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            return  # refused: what it still sends is dropped
        if self._follows and self._idle is not None and self in self._idle:
            self._idle.discard(self)
            self._stop_timer()
            self._begin()
        if not self._received and data[0] == HANDSHAKE_RECORD:
            self._refuse_tls()
            return
        self._received += len(data)
        verdict = self._reader.feed(data)
        if verdict is None:
            return
        behind = self._reader.rest
        self._reader = None
        self._is_head = isinstance(verdict, Head) and verdict.method == "HEAD"
        if isinstance(verdict, Refusal):
            self.refuse(verdict)
        elif (handler := self._routes.find(verdict.path)) is None:
            self.refuse(_NOT_FOUND)
        else:
            handler.serve(self, verdict, behind)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    # For the path's handler (`gateway.door.ports.PendingRequest`) ---------------------------------------------------

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
        transport.write(refused(refusal, request_id, time.time(), self._is_head))
        if not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        transport.resume_reading()
        self._set_timer(LINGER_SECONDS, transport.abort)

    def _refuse_tls(self) -> None:
        """TLS on a port that speaks plain HTTP: its own kind of answer."""
        assert self._transport is not None, "bytes come from a transport"
        log.info("client refused: it speaks TLS, this port does not", extra={"peer": self.address})
        self._refused, self._reader = True, None
        self._transport.write(ALERT)
        self._transport.close()

    def wait_for(self, answering: "asyncio.Task[None]") -> None:
        if self._transport is None:
            return
        self._transport.pause_reading()
        if self._received > self._limits.max_held:
            answering.cancel()
            self.refuse(_HELD_TOO_MUCH)
        else:
            self._answering = asyncio.get_running_loop().time(), answering

    def release(self) -> asyncio.Transport | None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._refused:
            return None
        self._forget()
        return transport

    def follow(self, transport: asyncio.Transport, behind: bytes) -> None:
        """See the port."""
        if self._idle is None or len(self._idle) >= self._limits.max_idle:
            transport.close()
            return
        following = HandshakeProtocol(
            *(self._routes, self._limits, self._pending, None, self.address, self.certified, self._idle), follows=True
        )
        transport.set_protocol(following)
        following.connection_made(transport)
        transport.resume_reading()
        if behind:
            following.data_received(behind)

    def abort(self) -> None:
        """End now, without an answer."""
        if self._transport is not None:
            self._transport.abort()

    # Between the two ------------------------------------------------------------------------------------------------

    def _on_timer(self) -> None:
        """The head is not complete in time, or the answer has not come in time (or may yet)."""
        if self._answering is None:
            self.refuse(_LATE)
            return
        since, task = self._answering
        left = since + self._limits.admission_seconds - asyncio.get_running_loop().time()
        if left > 0:
            self._set_timer(left, self._on_timer)
            return
        log.warning("a client was not admitted in time", extra={"peer": self.address})
        self.refuse(_ADMISSION_SLOW)
        task.cancel()

    def _log(self, refusal: Refusal, request_id: str) -> None:
        """One line for each that is turned away; never its target, which may hold a token."""
        fields = {"peer": self.address, "status": refusal.status, "code": refusal.code, "request_id": request_id}
        log.info("client refused: %s", refusal.message, extra=fields)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self) -> None:
        """Leave nothing behind that holds the transport."""
        self._stop_timer()
        self._transport = self._answering = None
        self._pending.discard(self)
        if self._idle is not None:
            self._idle.discard(self)


class PendingConnection(Protocol):
    """A connection whose request is not answered yet."""

    def abort(self) -> None:
        """End now, without an answer."""
        ...
