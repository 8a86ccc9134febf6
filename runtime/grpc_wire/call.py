"""Shell: one gRPC call: a stream of a connection, as its handler sees it, on either side."""

import asyncio
import logging
from typing import Protocol

from runtime.grpc_wire import frames
from runtime.grpc_wire.connection import Http2Connection
from runtime.grpc_wire.events import DataReceived
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.messages import GrpcMessageReader, encode_message
from runtime.grpc_wire.status import INTERNAL, OK, RESPONSE_HEADERS, StreamEnded, status_from_reset, trailers

log = logging.getLogger(__name__)


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

    def flush(self) -> None:
        """Write what `connection` has to send."""
        ...

    def on_call_end(self, call: "Call", /) -> None:
        """The call has ended."""
        ...


class Call:
    """One stream, on either side. To send on a stream that has ended is a no-op."""

    __slots__ = (
        *("_client", "_deadline", "_ended", "_headers_sent", "_paused", "_reader", "_remote_closed", "_transport"),
        *("_unread", "_unread_size", "handler", "request_headers", "stream"),
    )

    def __init__(
        self, transport: CallTransport, stream: int, client: bool, request_headers: HeaderFields | None = None
    ) -> None:
        """`request_headers`: on a server, those that have opened the stream."""
        self.stream = stream
        self.request_headers = request_headers or []
        self.handler: StreamHandler  # set before the first event
        self._transport = transport
        self._client = client
        self._headers_sent = client
        self._reader = GrpcMessageReader(transport.connection.limits.max_message_size)
        self._paused = False
        self._unread: list[bytes] = []  # data that came while paused, at most the stream's window
        self._unread_size = 0  # its flow-controlled size
        self._remote_closed = False  # and the handler does not know yet
        self._ended = False
        self._deadline: asyncio.TimerHandle | None = None

    # For the handler

    @property
    def writable(self) -> bool:
        """Whether everything sent so far has been written. While False, gather messages instead of sending."""
        return not (self._ended or self._transport.write_paused or self._transport.connection.queued(self.stream))

    def send(self, message: bytes) -> None:
        """Send a message, after what is queued. The queue is bounded only by senders that check `writable`."""
        if not self._ended:
            self._send_headers()
            self._transport.connection.send_data(self.stream, encode_message(message))
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
            self._transport.connection.end_stream(
                self.stream, fields if self._headers_sent else RESPONSE_HEADERS + fields
            )
            self.on_end(StreamEnded(status, message))
            self._transport.flush()

    def cancel(self) -> None:
        """Reset the stream, at once."""
        if not self._ended:
            self._transport.connection.reset_stream(self.stream, frames.CANCEL)
            self._transport.flush()
            self.on_end(status_from_reset(frames.CANCEL))

    def pause_reading(self) -> None:
        """Pass on no more messages until `resume_reading`. The stream's window, once used up, stops the peer."""
        self._paused = True

    def resume_reading(self) -> None:
        """Pass on the messages that came while reading was paused, and all later ones."""
        if self._paused:
            self._paused = False
            unread, self._unread, size, self._unread_size = b"".join(self._unread), [], self._unread_size, 0
            self._read(unread, size)
            self._transport.flush()

    def set_deadline(self, seconds: float, how: StreamEnded) -> None:
        """End the stream with `how` after `seconds`."""
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(seconds, lambda: self.end(how.status, how.message))

    # For the connection

    def on_data(self, event: DataReceived) -> None:
        """The peer has sent data."""
        self._remote_closed = self._remote_closed or event.end_stream
        self._read(event.data, event.flow_controlled_size)

    def on_half_close(self) -> None:
        """The peer has closed its side with headers."""
        self._remote_closed = True
        self._read(b"", 0)

    def on_end(self, how: StreamEnded) -> None:
        """The stream has ended. Later calls are no-ops."""
        if not self._ended:
            self._ended = True
            self._transport.on_call_end(self)
            if self._deadline is not None:
                self._deadline.cancel()
            self.handler.on_end(how)

    def _read(self, data: bytes, size: int) -> None:
        """`size`: the flow-controlled size of `data`."""
        if self._paused:
            self._unread.append(data)
            self._unread_size += size
            return
        try:
            for message in self._reader.read(data):
                if not self._ended:
                    self.handler.on_message(message)
        except StreamEnded as how:
            self._end_with(how)
        except Exception:
            log.exception("a message could not be handled")
            self._end_with(StreamEnded(INTERNAL, "a message could not be handled"))
        self._transport.connection.acknowledge_data(self.stream, size)
        if self._remote_closed and not self._paused and not self._ended:
            self._remote_closed = False
            self._on_remote_closed()

    def _on_remote_closed(self) -> None:
        if self._reader.incomplete or self._client:
            self._end_with(StreamEnded(INTERNAL, "the stream ended within a message, or without a status"))
        else:
            self.handler.on_half_close()

    def _end_with(self, how: StreamEnded) -> None:
        if self._client:
            self._transport.connection.reset_stream(self.stream, frames.CANCEL)
            self.on_end(how)
        else:
            self.end(how.status, how.message)

    def _send_headers(self) -> None:
        if not self._headers_sent:
            self._headers_sent = True
            self._transport.connection.send_headers(self.stream, RESPONSE_HEADERS)
