"""Shell: one connection's socket, and one stream of it as its two users see it.

Everything happens inside the loop's callbacks: a message costs no task, no future and no wake-up of its own, and what
is sent within one callback leaves in one write.
"""

import asyncio
import logging
import socket
from typing import Protocol

from runtime.grpc_wire import frames
from runtime.grpc_wire.connection import Http2Connection
from runtime.grpc_wire.events import ConnectionFailed, DataReceived, Event, StreamDrained, StreamReset
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.headerblocks import Headers
from runtime.grpc_wire.messages import GrpcMessageReader, framed
from runtime.grpc_wire.status import HEAD, INTERNAL, OK, UNAVAILABLE, StreamEnded, judge_reset, trailers

log = logging.getLogger(__name__)


class StreamHandler(Protocol):
    """Who hears one stream. Each is called on the loop and may send; none may wait."""

    def on_message(self, message: bytes) -> None:
        """One whole message. Raising StreamEnded ends the stream with that status."""
        ...

    def on_writable(self) -> None:
        """`Call.writable` has become true again."""
        ...

    def on_half_close(self) -> None:
        """A client says no more (half-close); its server may, until it ends the stream."""
        ...

    def on_end(self, how: StreamEnded) -> None:
        """The stream is over, whoever ended it. Called exactly once, last."""
        ...


class Http2Protocol(asyncio.Protocol):
    """One connection: the bytes to the core and back, its events to `hear`."""

    def __init__(self, client: bool, limits: Http2Limits) -> None:
        self.connection = Http2Connection(client, limits)
        self.calls: dict[int, Call] = {}
        self.full = False  # the kernel has not taken all that was written
        self.transport: asyncio.Transport | None = None
        self._receiving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # `pause_writing` then tells of the first byte that is left
        keep_alive(transport.get_extra_info("socket"))
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._receiving = True
        try:
            for event in self.connection.receive(data):
                if isinstance(event, DataReceived):
                    if (call := self.calls.get(event.stream)) is not None:
                        call.on_data(event)
                else:
                    self.on_event(event)
        finally:
            self._receiving = False
        self.flush()

    def on_event(self, event: Event) -> None:
        """What the core made of the bytes, but data."""
        match event:
            case StreamDrained(stream):
                if (call := self.calls.get(stream)) is not None and call.writable:
                    call.handler.on_writable()
            case StreamReset(stream, code):
                if (call := self.calls.get(stream)) is not None:
                    call.over(judge_reset(code))
            case ConnectionFailed(_, why):
                self.close(f"the peer broke HTTP/2: {why}")

    def flush(self) -> None:
        """Write what the core has, unless the kernel is full or more is just being made."""
        if self.transport is not None and not self.full and not self._receiving and (out := self.connection.take()):
            self.transport.write(out)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.flush()
        for call in list(self.calls.values()):
            if call.writable:
                call.handler.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._all_over(str(exc) if exc else "the connection was closed")

    def on_call_end(self, call: "Call") -> None:
        """The call is over."""
        self.calls.pop(call.stream, None)

    def close(self, why: str) -> None:
        """Hang up when the kernel has taken what is left. A peer that does not read is left by `abort`."""
        if self.transport is not None:
            self._receiving = False
            self.flush()
            self.transport.close()
        self._all_over(why)

    def abort(self) -> None:
        """Hang up at once."""
        if self.transport is not None:
            self.transport.abort()

    def _all_over(self, why: str) -> None:
        for call in list(self.calls.values()):
            call.over(StreamEnded(UNAVAILABLE, why))


def keep_alive(sock: socket.socket) -> None:
    """Let the kernel find out within 20 s that the other machine is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000)):
        if hasattr(socket, name):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Call:
    """One open stream, either side. Sending on one that is over does nothing."""

    __slots__ = (
        *("_client", "_deadline", "_ended", "_half", "_headed", "_held", "_reader", "_spent", "_stopped", "_wire"),
        *("handler", "request", "stream"),
    )

    def __init__(self, wire: Http2Protocol, stream: int, client: bool, request: Headers | None = None) -> None:
        """`request`: the headers that opened it, on a server."""
        self.stream = stream
        self.request = request or []
        self.handler: StreamHandler  # set before anything can be heard
        self._wire = wire
        self._client = client
        self._headed = client  # our side has sent its head
        self._reader = GrpcMessageReader(wire.connection.limits.message)
        self._stopped = False
        self._held: list[bytes] = []  # what came while reading was stopped, at most the stream's window
        self._spent = 0  # what it cost of the window
        self._half = False  # the peer has finished, and nobody was told
        self._ended = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def writable(self) -> bool:
        """Whether what was sent before is off our hands: gather until it is."""
        return not (self._ended or self._wire.full or self._wire.connection.queued(self.stream))

    def send(self, message: bytes) -> None:
        """Send one message now, or behind what waits. Whoever minds the memory looks at `writable` first."""
        if not self._ended:
            self._head()
            self._wire.connection.send(self.stream, framed(message))
            self._wire.flush()

    def send_last(self, message: bytes) -> None:
        """`send` and `finish`, in one write."""
        self._wire.connection.send(self.stream, framed(message))
        self.finish()

    def finish(self) -> None:
        """A client says no more, behind what waits."""
        self._wire.connection.end(self.stream)
        self._wire.flush()

    def end(self, status: int = OK, why: str = "", more: Headers | None = None) -> None:
        """A server ends the stream, behind what waits. `more`: trailing metadata."""
        if not self._ended:
            closing = trailers(status, why) + (more or [])
            self._wire.connection.end(self.stream, closing if self._headed else HEAD + closing)
            self.over(StreamEnded(status, why))
            self._wire.flush()

    def cancel(self) -> None:
        """End the stream both ways, at once."""
        if not self._ended:
            self._wire.connection.reset(self.stream, frames.CANCEL)
            self._wire.flush()
            self.over(judge_reset(frames.CANCEL))

    def stop_reading(self) -> None:
        """Hear nothing after what has just been read, until `resume_reading`; the peer notices by its credit."""
        self._stopped = True

    def resume_reading(self) -> None:
        """Hear what has come meanwhile, and more."""
        if self._stopped:
            self._stopped = False
            held, self._held, spent, self._spent = b"".join(self._held), [], self._spent, 0
            self._feed(held, spent)
            self._wire.flush()

    def ends_after(self, seconds: float, how: StreamEnded) -> None:
        """The stream's deadline."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, lambda: self.end(how.status, how.args[0]))

    # What the wire says ---------------------------------------------------------------------------------------------

    def on_data(self, event: DataReceived) -> None:
        """Some bytes of this stream."""
        self._half = self._half or event.ended
        self._feed(event.data, event.size)

    def on_half_close(self) -> None:
        """The peer finished with headers, or with its first."""
        self._half = True
        self._feed(b"", 0)

    def over(self, how: StreamEnded) -> None:
        """The stream is over."""
        if not self._ended:
            self._ended = True
            self._wire.on_call_end(self)
            if self._deadline is not None:
                self._deadline.cancel()
            self.handler.on_end(how)

    def _feed(self, data: bytes, size: int) -> None:
        if self._stopped:
            self._held.append(data)
            self._spent += size
            return
        try:
            for message in self._reader.read(data):
                if not self._ended:
                    self.handler.on_message(message)
        except StreamEnded as how:
            self._refuse(how)
        except Exception:
            log.exception("a message could not be handled")
            self._refuse(StreamEnded(INTERNAL, "a message could not be handled"))
        self._wire.connection.consumed(self.stream, size)
        if self._half and not self._stopped and not self._ended:
            self._half = False
            self._peer_finished()

    def _peer_finished(self) -> None:
        if self._reader.amid or self._client:
            self._refuse(StreamEnded(INTERNAL, "the stream ended within a message, or without a status"))
        else:
            self.handler.on_half_close()

    def _refuse(self, how: StreamEnded) -> None:
        if self._client:
            self._wire.connection.reset(self.stream, frames.CANCEL)
            self.over(how)
        else:
            self.end(how.status, how.args[0])

    def _head(self) -> None:
        if not self._headed:
            self._headed = True
            self._wire.connection.headers(self.stream, HEAD)
