"""Shell: one WebSocket on one transport. Drives `messages.receive`, answers pings, closes as RFC 6455 §7 asks.

Per connection there is this object and its transport, nothing else: no task, no queue, and a timer only while closing.
Writes go straight to the transport. uvloop tries the socket within `write`, and with a high-water mark of one byte it
calls `pause_writing`, still within `write`, when the kernel did not take everything, `resume_writing` when it has.

An iteration of the loop handles a bounded part of what one client has sent; the rest waits for the next one, and the
socket is not read meanwhile: however much a client sends, the others are served. Compressed messages are inflated when
their turn comes, since 16 KiB of them may hold 16 MiB.
"""

import asyncio
import logging
import socket
import struct
import time

from gateway.close_codes import CONNECTION_LOST, INTERNAL_ERROR, POLICY
from gateway.wire.deflate import inflate
from gateway.wire.frames import WEBSOCKET, close_frame, ping_frame, pong_frame
from gateway.wire.messages import (
    CloseReceived,
    CompressedReceived,
    Event,
    MessageReader,
    MessageReceived,
    MessageTooLarge,
    PingReceived,
    PongReceived,
    ProtocolViolation,
    first_frame_end,
    receive,
)
from gateway.wire.ports import Framing, TransportHandler
from gateway.wire.uploads import UploadRules

CLOSE_SECONDS = 5.0  # for the client to answer a close frame (docs/promises.md, row 50)
MAX_CONTROLS = 20  # pings and pongs a second; past it the connection ends (docs/promises.md, row 51)

MESSAGES_PER_ITERATION = 64
BYTES_PER_ITERATION = 16 * 1024  # that may be many small frames; a large message's payload is taken whole
BYTES_PER_SECOND = 4096  # of an unfinished message, each of which gives it one second more
TCP_CLOSE = bytes([7])  # Linux' state of a connection that has ended (tcpi_state)
BYTES_ACKED = 120  # where the kernel's struct tcp_info has tcpi_bytes_acked, an unsigned 64-bit number

_logger = logging.getLogger(__name__)
_PING = ping_frame()
_NO_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])  # a reason goes into logs and headers
_NO_CODE = 1005  # the code of a close frame without one (RFC 6455 §7.1.5)

# Stages of a transport, in the only order they can have.
_OPEN = 0
_CLOSING = 1  # our close frame is written, the client's is awaited
_ENDING = 2  # the transport is being closed; what still arrives is ignored
_GONE = 3


class WebSocketTransport(asyncio.Protocol):
    """A `gateway.wire.ports.ClientTransport`.

    Made for a socket whose reading is paused; `open` writes the handshake's answer, in one write with the first frame.
    """

    __slots__ = (
        "_address",
        "_answer",
        "_blocked",
        "_close_received",
        "_close_sent",
        "_controls",
        "_handler",
        "_held",
        "_message_deadline",
        "_notify_writable",
        "_paused",
        "_pong",
        "_reader",
        "_rules",
        "_second",
        "_stage",
        "_timer",
        "_transport",
        "_unfinished_since",
        "_upload_held",
        "framing",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        handler: TransportHandler,
        rules: UploadRules,
        address: str,
        framing: Framing = WEBSOCKET,
    ) -> None:
        """`address`: the client's host:port, for logs. `framing`: as it was negotiated."""
        self.framing = framing
        self._address = address
        self._transport = transport
        self._handler = handler
        self._rules = rules
        self._answer = b""  # the handshake's answer, until the first frame goes with it
        self._stage = _OPEN
        self._reader: MessageReader | None = None
        self._unfinished_since = 0.0  # when the reader's message began, loop time
        self._message_deadline = False  # one is set
        self._held: tuple[list[Event], bytes] | None = None  # not delivered, and not read, for now
        self._paused = False  # by the handler
        self._upload_held = False  # by the node's budget for unfinished messages
        self._blocked = False  # the kernel has not taken everything
        self._notify_writable = False  # the handler waits for `on_writable`
        self._pong: bytes | None = None  # the newest ping's payload, whose pong waits while the kernel is full
        self._timer: asyncio.TimerHandle | None = None
        self._close_received: CloseReceived | None = None  # the client's close frame
        self._close_sent: tuple[int, str] | None = None  # this side's, if it was the first
        self._second = 0  # the second in which controls are counted
        self._controls = 0
        transport.set_write_buffer_limits(high=1, low=0)  # not 0: an empty TLS transport would be called full

    def open(self, answer: bytes, behind: bytes) -> None:
        """Begin: `answer` is the handshake's, `behind` are the bytes that came behind its request."""
        self._answer = answer
        try:
            self._handler.on_open(self)
        except Exception:
            self._fail("on_open")
        self._flush_answer()
        if behind:
            self.data_received(behind)
        self._resume_delivery()

    # For the handler (`gateway.wire.ports.ClientTransport`) ----------------------------------------------------------

    def send(self, frame: bytes) -> bool:
        if self._stage != _OPEN:
            return False
        if self._answer:
            frame, self._answer = self._answer + frame, b""
        self._transport.write(frame)
        if self._blocked:
            self._notify_writable = True
            return False
        return True

    @property
    def is_open(self) -> bool:
        return self._stage == _OPEN

    def unsent(self) -> int:
        return 0 if self._stage == _GONE else self._transport.get_write_buffer_size()

    def _flush_answer(self) -> None:
        if self._answer:
            answer, self._answer = self._answer, b""
            self._transport.write(answer)

    def acknowledged(self) -> int:
        info = self._tcp_info(BYTES_ACKED + 8)
        return int(struct.unpack_from("Q", info, BYTES_ACKED)[0]) if len(info) >= BYTES_ACKED + 8 else 0

    def is_lost(self) -> bool:
        return self._tcp_info(1) == TCP_CLOSE

    def _tcp_info(self, size: int) -> bytes:
        """The first bytes of the kernel's struct tcp_info; empty: it does not tell."""
        sock: socket.socket | None = self._transport.get_extra_info("socket") if self._stage != _GONE else None
        try:
            return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size) if sock is not None else b""
        except (OSError, AttributeError):  # closed meanwhile, or not Linux
            return b""

    @property
    def reading_paused(self) -> bool:
        return self._paused or self._upload_held

    def ping(self) -> bool:
        if self._stage != _OPEN or self._blocked:
            return False
        self._write_control(_PING)
        return True

    def _write_control(self, frame: bytes) -> None:
        """Write a frame of this transport's own; the handler learns when the kernel does not take it."""
        self._transport.write(frame)
        if self._blocked and not self._notify_writable:
            self._notify_writable = True
            self._handler.on_blocked()

    def close(self, code: int, reason: str) -> None:
        if self._stage == _OPEN:
            self._stage = _CLOSING
            self._close_sent = code, reason
            self._flush_answer()
            self._transport.write(close_frame(code, reason))
            self._abort_later()
            self.resume_reading()  # or its answer would never be seen

    def pause_reading(self) -> None:
        if self._stage == _OPEN and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._resume_delivery)  # never from within the handler's own call

    # From the socket (asyncio.Protocol) -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._stage >= _ENDING:
            return
        if self._held is not None:  # earlier bytes wait
            self._held = self._held[0], self._held[1] + data
            return
        before, later = self._reader, b""
        if len(data) > BYTES_PER_ITERATION:
            end = max(BYTES_PER_ITERATION, first_frame_end(data) if before is None else before.missing)
            data, later = data[:end], data[end:]
        events, self._reader = receive(data, before, self._rules.limits)
        if before is not None or self._reader is not None:
            self._track_unfinished(before is None or any(map(_ends_message, events)))
        if events or later:
            self._deliver(events, later)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._pong is not None and self._stage == _OPEN:
            pong, self._pong = self._pong, None
            self._transport.write(pong_frame(pong))
            if self._blocked:
                return
        if self._notify_writable and self._stage < _GONE:  # also while closing
            self._notify_writable = False
            try:
                self._handler.on_writable()
            except Exception:
                self._fail("on_writable")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage = _GONE
        if self._timer is not None:
            self._timer.cancel()
        self._rules.unfinished.update(self, 0)
        self._rules.on_end(self._address)
        handler = self._handler
        # A reference to this object must not keep the socket or the session alive, nor close a circle.
        del self._transport, self._handler, self._rules
        self._timer = self._reader = self._held = None
        try:
            handler.on_close(*self._how_it_ended())
        except Exception:
            _logger.exception("on_close failed", extra={"peer": self._address})

    def _how_it_ended(self) -> tuple[int, str]:
        """This side's own code and reason if it closed first, else the client's, else 1006."""
        if self._close_sent is not None:
            return self._close_sent
        if self._close_received is None:
            return CONNECTION_LOST.code, CONNECTION_LOST.reason
        code, reason = self._close_received.code, self._close_received.reason
        return _NO_CODE if code is None else code, reason.translate(_NO_CONTROLS)

    # Between the two ------------------------------------------------------------------------------------------------

    def _deliver(self, events: list[Event], later: bytes) -> None:
        """Tell the handler. `later`: bytes behind the events, for the next iteration of the loop."""
        inflated = 0
        try:
            for index, event in enumerate(events):
                if self._paused or index == MESSAGES_PER_ITERATION or inflated > BYTES_PER_ITERATION:
                    self._hold(events[index:], later)
                    return
                if type(event) is MessageReceived:
                    if self._stage == _OPEN:
                        self._handler.on_message(event.text, event.payload)
                elif type(event) is CompressedReceived:
                    inflated += self._on_compressed(event)
                    if self._stage >= _ENDING:
                        return
                else:
                    self._on_control(event)
        except Exception:
            self._fail("on_message")
        if later:
            self._hold([], later)

    def _on_compressed(self, compressed: CompressedReceived) -> int:
        """Inflate a message only now: what waits is held compressed. Returns the bytes that it has."""
        if self._stage != _OPEN:
            return 0
        received = inflate(compressed, self._rules.limits)
        if isinstance(received, MessageReceived):
            self._handler.on_message(received.text, received.payload)
            return len(received.payload)
        self._on_control(received)
        return received.size if isinstance(received, MessageTooLarge) else 0

    def _hold(self, events: list[Event], later: bytes) -> None:
        """Go on with these in the next iteration of the loop, or when the handler resumes reading."""
        self._held = events, later
        if not self._paused and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._resume_delivery)

    def _on_control(self, event: Event) -> None:
        match event:
            case PingReceived():
                if self._control_allowed():
                    self._answer_ping(event.payload)
            case MessageTooLarge():
                if self._stage == _OPEN:
                    self._handler.on_too_large(event.size)
            case PongReceived():
                if self._control_allowed():
                    self._handler.on_pong()
            case CloseReceived():
                self._on_close_frame(event)
            case ProtocolViolation():
                self._violated(event)

    def _answer_ping(self, payload: bytes) -> None:
        """While earlier bytes wait only the newest ping is answered (RFC 6455 §5.5.3): pongs need no budget then."""
        if self._blocked:
            self._pong = payload
            if not self._notify_writable:
                self._notify_writable = True
                self._handler.on_blocked()
        else:
            self._write_control(pong_frame(payload))

    def _control_allowed(self) -> bool:
        """Counts pings and pongs by the second; a flood of them closes the connection."""
        if self._stage != _OPEN:
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._controls = second, 0
        self._controls += 1
        if self._controls > MAX_CONTROLS:
            self.close(POLICY.code, "too many pings")
        return self._stage == _OPEN

    def _on_close_frame(self, received: CloseReceived) -> None:
        self._close_received = received
        if self._stage == _OPEN:
            self._transport.write(close_frame(received.code))
        self._stage = _ENDING
        self._transport.close()  # writes what is buffered first
        if self._transport.get_write_buffer_size():
            self._abort_later()

    def _violated(self, violation: ProtocolViolation) -> None:
        """Close, and end. What the client goes on sending is read and dropped: closing a socket with unread bytes
        resets it, and the reset may overtake the close frame."""
        if self._stage == _OPEN:
            self._close_sent = violation.code, violation.reason
            self._transport.write(close_frame(violation.code, violation.reason))
        self._stage = _ENDING
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._abort_later()
        else:
            self._transport.close()

    def _abort_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CLOSE_SECONDS, self._transport.abort)

    # Unfinished messages --------------------------------------------------------------------------------------------

    def _track_unfinished(self, begins: bool) -> None:
        """Count what is kept of the reader's message against the node's budget, and its time. `begins`: this one has
        begun with the bytes that have just arrived."""
        reader = self._reader if self._reader is not None and not self._reader.ended else None
        self._rules.unfinished.update(self, reader.held if reader is not None else 0)
        if reader is None:
            return
        if begins:
            self._unfinished_since = asyncio.get_running_loop().time()
        else:
            self._handler.on_partial()
        if not self._message_deadline:
            self._message_deadline = True
            self._rules.watch(self, self._rules.limits.seconds)

    def on_deadline(self) -> None:
        """Time is up for the message that was unfinished, if it is unfinished still."""
        self._message_deadline = False
        reader = self._reader
        if reader is None or reader.ended or self._stage != _OPEN:
            return
        left = self._rules.limits.seconds + reader.arrived / BYTES_PER_SECOND
        left -= asyncio.get_running_loop().time() - self._unfinished_since
        if left > 0 or self.reading_paused:  # while this side reads nothing the client's time does not run
            self._message_deadline = True
            self._rules.watch(self, max(1.0, left))
        else:
            self.close(POLICY.code, "a message took too long")

    def hold_upload(self) -> None:
        """The node's budget is full: read nothing more."""
        self._upload_held = True
        if not self._paused and self._stage == _OPEN:
            self._transport.pause_reading()

    def continue_upload(self) -> None:
        """There is room for this message again."""
        self._upload_held = False
        self._resume_delivery()

    def _resume_delivery(self) -> None:
        """Go on with what is held, then with the socket. Whoever has paused reading calls this when it resumes."""
        if self.reading_paused:
            return
        held, self._held = self._held, None
        if held is not None and held[0]:
            self._deliver(*held)
        elif held is not None:
            self.data_received(held[1])
        done = self._held is None and not self.reading_paused
        if done and self._stage != _GONE and not self._transport.is_closing():
            self._transport.resume_reading()

    def _fail(self, where: str) -> None:
        _logger.exception("%s failed", where, extra={"peer": self._address})
        self.close(INTERNAL_ERROR.code, INTERNAL_ERROR.reason)


def _ends_message(event: Event) -> bool:
    """Whether a message ended here; control frames may stand between its frames (RFC 6455 §5.4)."""
    return not isinstance(event, PingReceived | PongReceived)
