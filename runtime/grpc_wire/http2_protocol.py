"""Shell: the socket of one HTTP/2 connection: bytes to the core and back, events to the calls.

Everything happens in callbacks of the loop: a message costs no task, no future and no wake-up of its own, and what is
sent in one callback is written at once. An iteration of the loop handles a bounded part of what one connection has
sent; the rest waits for the next one, and the socket is not read meanwhile.
"""

import asyncio
import socket
from typing import Final

from runtime.grpc_wire.call import Call
from runtime.grpc_wire.connection import Http2Connection
from runtime.grpc_wire.events import ConnectionFailed, DataReceived, Http2Event, StreamDrained, StreamReset
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.status import UNAVAILABLE, StreamEnded

MESSAGES_PER_ITERATION: Final = 128
FULL_READ: Final = 128 * 1024  # bytes; uvloop goes on reading a socket in the same iteration while reads are full


class Http2Protocol(asyncio.Protocol):
    """One connection, on either side, and its calls."""

    def __init__(self, client: bool, limits: Http2Limits) -> None:
        self.connection = Http2Connection(client, limits)
        self.calls: dict[int, Call] = {}
        self.write_paused = False  # the kernel's buffer is full
        self.messages_left = MESSAGES_PER_ITERATION
        self.transport: asyncio.Transport | None = None
        self._receiving = False
        self._waiting_calls: dict[int, Call] = {}  # that have messages left from the last iteration
        self._iteration_scheduled = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        limit_write_buffer(transport)
        enable_keepalive(transport.get_extra_info("socket"))
        self.flush()

    def data_received(self, data: bytes) -> None:
        if not self._iteration_scheduled:
            self.messages_left = MESSAGES_PER_ITERATION
        self._receive(data)
        if self.connection.has_unprocessed or len(data) >= FULL_READ:
            self._end_iteration()

    def _receive(self, data: bytes) -> None:
        self._receiving = True
        try:
            for event in self.connection.receive_data(data):
                if isinstance(event, DataReceived):
                    if (call := self.calls.get(event.stream)) is not None:
                        call.on_data(event)
                    else:
                        self.on_other_data(event)
                else:
                    self.on_event(event)
        finally:
            self._receiving = False
        self.flush()

    def on_other_data(self, event: DataReceived) -> None:
        """Data of a stream that has no call, or none any more: nobody keeps it."""
        self.connection.handle_data(event.stream, len(event.data))

    def on_event(self, event: Http2Event) -> None:
        """An event other than data."""
        match event:
            case StreamDrained(stream):
                if (call := self.calls.get(stream)) is not None and call.writable:
                    call.handler.on_writable()
            case StreamReset(stream, code):
                if (call := self.calls.get(stream)) is not None:
                    call.on_reset(code)
            case ConnectionFailed(_, reason):
                self.close(f"the peer broke HTTP/2: {reason}")

    # Iterations of the loop

    def continue_call(self, call: Call) -> None:
        """See `CallTransport`."""
        self._waiting_calls[call.stream] = call
        self._end_iteration()

    def _end_iteration(self) -> None:
        """Read no more from the socket in this iteration."""
        if not self._iteration_scheduled and self.transport is not None and not self.transport.is_closing():
            self._iteration_scheduled = True
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._next_iteration)

    def _next_iteration(self) -> None:
        """Go on with what was received; then with the socket."""
        self._iteration_scheduled = False
        if self.transport is None or self.transport.is_closing():
            return
        self.messages_left = MESSAGES_PER_ITERATION
        waiting, self._waiting_calls = self._waiting_calls, {}
        for call in waiting.values():
            call.deliver()
        if self.connection.has_unprocessed and not self._waiting_calls:
            self._receive(b"")
        self.flush()
        if self._waiting_calls or self.connection.has_unprocessed:
            self._end_iteration()
        elif not self._iteration_scheduled and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # Writing

    def flush(self) -> None:
        """Write what the core has to send, unless the kernel's buffer is full or data is being received."""
        if self.transport is None or self.write_paused or self._receiving:
            return
        if data := self.connection.data_to_send():
            self.transport.write(data)

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self.flush()
        for call in list(self.calls.values()):
            if call.writable:
                call.handler.on_writable()

    # The end

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._end_calls(str(exc) if exc else "the connection was closed")

    def on_call_end(self, call: Call) -> None:
        """The call has ended."""
        self.calls.pop(call.stream, None)

    def close(self, reason: str) -> None:
        """End all calls as UNAVAILABLE, and close once the kernel has taken what is written.

        A peer that does not read would keep the connection open: `abort` closes it at once.
        """
        if self.transport is not None:
            self._receiving = False
            self.flush()
            self.transport.close()
        self._end_calls(reason)

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def _end_calls(self, reason: str) -> None:
        self._waiting_calls.clear()
        for call in list(self.calls.values()):
            call.on_end(StreamEnded(UNAVAILABLE, reason))


def limit_write_buffer(transport: asyncio.Transport) -> None:
    """`pause_writing` at the first byte that the kernel has not taken.

    Not at 0: a TLS transport compares with `>=`, and would say that its empty buffer is full.
    """
    transport.set_write_buffer_limits(high=1, low=0)


def enable_keepalive(sock: socket.socket) -> None:
    """TCP keepalive: the kernel closes the connection within 20 s when the peer's machine is gone."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000)):
        if hasattr(socket, name):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
