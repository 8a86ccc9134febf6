"""Shell: one gRPC call: a stream of a connection, as its handler sees it, on either side."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from runtime.grpc_wire import frames
from runtime.grpc_wire.connection import Http2Connection
from runtime.grpc_wire.events import DataReceived
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.messages import GrpcMessageReader, encode_message
from runtime.grpc_wire.status import (
    INTERNAL,
    OK,
    RESOURCE_EXHAUSTED,
    RESPONSE_HEADERS,
    StreamEnded,
    status_from_reset,
    trailers,
)

log = logging.getLogger(__name__)

UNREAD = StreamEnded(RESOURCE_EXHAUSTED, "too much was sent on this connection that the peer has not read")


class StreamHandler(Protocol):
    """Receives one stream. Each method is called on the loop, may send, and must not wait."""

    def on_message(self, message: bytes, /) -> None:
        """A whole message. To raise StreamEnded ends the stream with that status."""
        ...

    def on_writable(self) -> None:
        """`Call.writable` has become true again."""
        ...

    def on_half_close(self) -> None:
        """On a server: the client sends no more. The server may send until its end."""
        ...

    def on_end(self, how: StreamEnded, /) -> None:
        """The stream has ended, on whichever side. The last call, and exactly one."""
        ...


class CallTransport(Protocol):
    """The connection of a call (`runtime.grpc_wire.http2_protocol.Http2Protocol`)."""

    connection: Http2Connection
    write_paused: bool
    messages_left: int  # that may be handled in this iteration of the loop

    def flush(self) -> None:
        """Write what `connection` has to send."""
        ...

    def continue_call(self, call: "Call", /) -> None:
        """Call `Call.deliver` in the next iteration of the loop."""
        ...

    def on_call_end(self, call: "Call", /) -> None:
        """The call has ended."""
        ...


class Call:
    """One stream, on either side. To send on a stream that has ended is a no-op."""

    __slots__ = (
        *(
            "_client",
            "_deadline",
            "_ended",
            "_headers_sent",
            "_keeps_messages",
            "_large",
            "_paused",
            "_reader",
            "_remote_closed",
        ),
        *("_trailers", "_transport", "handler", "on_unreadable", "request_headers", "stream"),
    )

    def __init__(
        self, transport: CallTransport, stream: int, client: bool, request_headers: HeaderFields | None = None
    ) -> None:
        """`request_headers`: on a server, those that have opened the stream."""
        self.stream = stream
        self.request_headers = request_headers or []
        self.handler: StreamHandler  # set before the first event
        self.on_unreadable: Callable[[StreamEnded], None] | None = None
        """As a server: called instead of ending the call when the client's messages cannot be read on."""
        self._transport = transport
        self._client = client
        self._headers_sent = client
        encoding = dict(self.request_headers).get(b"grpc-encoding", b"identity")
        self._reader = GrpcMessageReader(transport.connection.limits.max_message_size, encoding)
        self._paused = False
        self._keeps_messages = False
        self._large = False  # the unfinished message was told to the connection
        self._remote_closed = False  # and the handler does not know yet
        self._trailers: StreamEnded | None = None  # the same, with the status of the server
        self._ended = False
        self._deadline: asyncio.TimerHandle | None = None

    # For the handler

    @property
    def writable(self) -> bool:
        """Whether everything sent so far has been written. While False, gather messages instead of sending."""
        return not (self._ended or self._transport.write_paused or self._transport.connection.queued(self.stream))

    def send(self, message: bytes) -> None:
        """Send a message, after what is queued.

        What the peer does not read is bounded for its connection (`Http2Limits.max_unsent`): beyond, the call ends.
        """
        if not self._ended:
            self._send_headers()
            if not self._transport.connection.send_data(self.stream, encode_message(message)):
                self._reset(frames.ENHANCE_YOUR_CALM, UNREAD)
            self._transport.flush()

    def send_and_half_close(self, message: bytes) -> None:
        """`send` and `half_close`, in one write."""
        self._transport.connection.send_data(self.stream, encode_message(message))
        self.half_close()

    def half_close(self) -> None:
        """As a client: send no more, after what is queued."""
        self._transport.connection.end_stream(self.stream)
        self._transport.flush()

    def end(self, status: int = OK, message: str = "", metadata: HeaderFields | None = None) -> None:
        """As a server: end the stream, after what is queued. `metadata`: more trailers."""
        if not self._ended:
            fields = trailers(status, message) + (metadata or [])
            connection = self._transport.connection
            connection.end_stream(self.stream, fields if self._headers_sent else RESPONSE_HEADERS + fields)
            self.on_end(StreamEnded(status, message), unsent=connection.queued(self.stream) > 0)
            self._transport.flush()

    def cancel(self) -> None:
        """Reset the stream, at once."""
        if not self._ended:
            self._reset(frames.CANCEL, status_from_reset(frames.CANCEL))
            self._transport.flush()

    def pause_reading(self) -> None:
        """Pass on no more messages until `resume_reading`. The stream's window, once used up, stops the peer."""
        self._paused = True

    def resume_reading(self) -> None:
        """Pass on the messages that came while reading was paused, and all later ones."""
        if self._paused:
            self._paused = False
            self.deliver()
            self._transport.flush()

    def keep_messages(self) -> None:
        """The handler keeps its messages until the end: until then they count as received and not handled."""
        self._keeps_messages = True

    @property
    def connection_key(self) -> object:
        """The same object for all calls of one connection: what belongs to a connection may be kept by it, weakly."""
        return self._transport

    def set_deadline(self, seconds: float, how: StreamEnded) -> None:
        """End the stream with `how` after `seconds`, also when it is answered and the answer waits for a window."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._on_deadline, how)

    # For the connection

    def on_data(self, event: DataReceived) -> None:
        """The peer has sent data."""
        self._remote_closed = self._remote_closed or event.end_stream
        self._reader.feed(event.data)
        self.deliver()

    def on_half_close(self) -> None:
        """The peer has closed its side with headers."""
        self._remote_closed = True
        self.deliver()

    def on_trailers(self, how: StreamEnded) -> None:
        """As a client: the server has ended the stream."""
        self._trailers = how
        self.deliver()

    def on_reset(self, code: int) -> None:
        """The stream was reset. A server may do so after its trailers (RFC 9113 §8.1): then they say how it ended."""
        if self._trailers is None:
            self.on_end(status_from_reset(code))

    def deliver(self) -> None:
        """Pass on the messages that are complete, as many as the iteration allows, and what follows them."""
        if self._paused or self._ended:
            return
        try:
            if self._deliver_messages():
                self._on_delivered()
        except StreamEnded as how:
            self._end_unreadable(how)
        except Exception:
            log.exception("a message could not be handled")
            self._end_with(StreamEnded(INTERNAL, "a message could not be handled"))

    def _deliver_messages(self) -> bool:
        """Whether every complete message is delivered."""
        reader, transport = self._reader, self._transport
        before = reader.handled
        try:
            while not self._paused and not self._ended:
                if transport.messages_left <= 0:
                    transport.continue_call(self)
                    return False
                message = reader.next_message()
                if message is None:
                    return True
                transport.messages_left -= 1
                self.handler.on_message(message)
            return False
        finally:
            if reader.handled > before and not self._keeps_messages:
                self._on_handled(reader.handled - before)

    def _on_handled(self, size: int) -> None:
        """Messages of `size` bytes are kept here no more."""
        connection = self._transport.connection
        connection.handle_data(self.stream, size)
        if self._large:
            self._large = False
            connection.end_large_message(self.stream)

    def on_end(self, how: StreamEnded, unsent: bool = False) -> None:
        """The stream has ended. Later calls are no-ops. `unsent`: its answer waits for a window, so the deadline stays.

        Call and handler are parted here: a cycle would keep each call alive until a collection.
        """
        if not self._ended:
            self._ended = True
            self._transport.on_call_end(self)
            if self._deadline is not None and not unsent:
                self._deadline.cancel()
            handler, self.handler, self.on_unreadable = self.handler, _ENDED, None
            handler.on_end(how)

    def _on_delivered(self) -> None:
        if self._trailers is not None:
            self.on_end(self._trailers)
        elif self._remote_closed:
            self._remote_closed = False
            self._on_remote_closed()
        elif missing := self._reader.missing:
            self._large = True  # perhaps
            self._transport.connection.expect_data(self.stream, missing)

    def _on_remote_closed(self) -> None:
        if self._reader.incomplete or self._client:
            self._end_with(StreamEnded(INTERNAL, "the stream ended within a message, or without a status"))
        else:
            self.handler.on_half_close()

    def _on_deadline(self, how: StreamEnded) -> None:
        if self._ended:
            self._transport.connection.reset_stream(self.stream, frames.CANCEL)
            self._transport.flush()
        else:
            self.end(how.status, how.message)

    def _end_unreadable(self, how: StreamEnded) -> None:
        if self.on_unreadable is not None:
            self._paused = True
            self.on_unreadable(how)
        else:
            self._end_with(how)

    def _end_with(self, how: StreamEnded) -> None:
        if self._client:
            self._reset(frames.CANCEL, how)
        else:
            self.end(how.status, how.message)

    def _reset(self, code: int, how: StreamEnded) -> None:
        self._transport.connection.reset_stream(self.stream, code)
        self.on_end(how)

    def _send_headers(self) -> None:
        if not self._headers_sent:
            self._headers_sent = True
            self._transport.connection.send_headers(self.stream, RESPONSE_HEADERS)


class NoHandler:
    """The handler of a stream that has ended, or was refused at its headers."""

    def on_message(self, message: bytes) -> None: ...
    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: StreamEnded) -> None: ...


_ENDED = NoHandler()
