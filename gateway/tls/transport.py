"""Shell: a transport that speaks TLS on another one. What is above it knows no difference.

A client whose records hold little is read again only in the next iteration of the loop: each record costs microseconds,
and a socket that is always readable would be read many times in a row.

It is a protocol to the socket's transport, and a transport to the protocol above, which is made when the handshake is
complete. There is no buffer between the two: a write is encrypted and given to the socket's transport at once, so what
that says of the kernel (`pause_writing`, `get_write_buffer_size`) is as true as without TLS, and so is `WRITTEN`.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast

from gateway.tls.records import HANDSHAKE_RECORD, TlsBuffers, TlsError, TlsSession
from runtime.process.addresses import peer_address

SLICE = 16 * 1024  # bytes from the wire in one iteration of the loop
SMALL = 1024  # bytes, of which less than a quarter is plain text: many small records

log = logging.getLogger(__name__)

MakeProtocol = Callable[[bytes | None], asyncio.Protocol]
"""Makes what is above, given the client's certificate in DER."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One client's TLS. To the socket's transport it is an `asyncio.Protocol`."""

    __slots__ = (
        *("_address", "_blocked", "_buffers", "_context", "_continuing", "_ending", "_lower", "_make_upper"),
        *("_not_tls", "_paused", "_pending", "_session", "_timer", "_unread", "_upper"),
    )

    def __init__(
        self,
        buffers: TlsBuffers,
        context: ssl.SSLContext,
        make_upper: MakeProtocol,
        not_tls: Callable[[], bytes],
        seconds: float,
        pending: set[Any],
        address: str = "",
    ) -> None:
        """`not_tls`: makes the answer to a client that speaks no TLS. `seconds`: for the handshake. `pending`: where
        this is until then. `address`: the client's host:port; "": that of the socket."""
        self._address = address
        self._buffers = buffers
        self._context: ssl.SSLContext | None = context  # until the first bytes: who sends none costs no session
        self._session: TlsSession
        self._make_upper = make_upper
        self._not_tls = not_tls
        self._pending = pending
        self._upper: asyncio.Protocol | None = None  # None: the handshake is not complete
        self._lower: asyncio.Transport
        self._ending = False  # close_notify is written, or nothing can be: what still arrives is dropped
        self._blocked = False  # the kernel has not taken everything
        self._paused = False  # by what is above
        self._unread = b""  # from the socket, not decrypted yet
        self._continuing = False  # reading goes on in the next iteration of the loop
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(seconds, self._time_out)

    # From the socket (asyncio.Protocol) -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._pending.add(self)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if self._context is not None and not self._begin(self._context, data[0]):
            return
        data, self._unread = data[:SLICE], data[SLICE:]
        try:
            plain, answer, ended = self._session.receive(data)
        except TlsError as error:
            if error.plain and self._upper is not None:
                self._upper.data_received(error.plain)
            self._end(error.alert, str(error))
            return
        if answer:
            self._lower.write(answer)
        if self._upper is None and self._session.established:
            self._open()
        if plain and self._upper is not None:
            self._upper.data_received(plain)
        if ended:
            self.close()
        elif self._unread or (len(data) >= SMALL and len(plain) * 4 < len(data)):
            self._continue_later()

    def _continue_later(self) -> None:
        """Read on in the next iteration of the loop, unless what is above has paused reading."""
        if not self._continuing and not self._lower.is_closing():
            self._continuing = True
            self._lower.pause_reading()
            asyncio.get_running_loop().call_soon(self._continue)

    def _continue(self) -> None:
        self._continuing = False
        if self._paused or self._ending or self._lower.is_closing():
            return
        if self._unread:
            self.data_received(self._unread)
        if not self._continuing and not self._paused and not self._lower.is_closing():
            self._lower.resume_reading()

    def eof_received(self) -> None:
        """Without close_notify the end may be anybody's: nothing more is read."""

    def pause_writing(self) -> None:
        self._blocked = True
        if self._upper is not None:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._upper is not None:
            self._upper.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self._forget_handshake()
        upper, self._upper = self._upper, None
        if upper is not None:
            upper.connection_lost(exc)

    def _begin(self, context: ssl.SSLContext, first: int) -> bool:
        """The first bytes are here. False: they are no TLS."""
        self._context = None
        if first != HANDSHAKE_RECORD:
            self._end(self._not_tls(), "this is not TLS")
            return False
        self._session = TlsSession(self._buffers, context)
        return True

    # The handshake --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._forget_handshake()
        upper = self._upper = self._make_upper(self._session.client_certificate())
        upper.connection_made(self)

    def _forget_handshake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pending.discard(self)

    def _time_out(self) -> None:
        self._timer = None
        if not self._ending:
            self._log("the handshake took too long")
        self.abort()

    def _end(self, last: bytes, why: str) -> None:
        """Nothing can be read any more. The socket is closed behind `last`; its peer may read that for a moment."""
        self._ending = True
        self._log(why)
        if last:
            self._lower.write(last)
        if self._upper is None and self._lower.can_write_eof():  # the timer of the handshake ends it
            self._lower.write_eof()
        else:
            self._lower.close()

    def _log(self, why: str) -> None:
        log.info("TLS ended: %s", why, extra={"peer": self._address or peer_address(self._lower)})

    # For what is above (asyncio.Transport) --------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._ending:
            self._lower.write(self._session.send(cast(bytes, data)))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Say close_notify and half-close the socket. What the peer still sends is dropped."""
        if not self._ending:
            self._ending = True
            self._lower.write(self._session.close())
            self._lower.write_eof()

    def close(self) -> None:
        if not self._ending:
            self._ending = True
            self._lower.write(self._session.close())
        self._lower.close()

    def abort(self) -> None:
        self._ending = True
        self._lower.abort()

    def is_closing(self) -> bool:
        return self._lower.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._upper = cast(asyncio.Protocol, protocol)
        if self._blocked:
            self._upper.pause_writing()

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._upper is not None, "the handshake is not complete"
        return self._upper

    def pause_reading(self) -> None:
        self._paused = True
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if self._unread:
            self._continue_later()
        elif not self._continuing:
            self._lower.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._lower.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._lower.get_write_buffer_size()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._lower.get_extra_info(name, default)
