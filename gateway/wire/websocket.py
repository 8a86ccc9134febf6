"""Shell: one WebSocket on one transport. Drives `messages.receive`, answers pings, closes as RFC 6455 §7 asks.

Per connection there is this object and its transport, nothing else: no task, no queue, and a timer only while closing.
Writes go straight to the transport. uvloop tries the socket within `write`, and with a high-water mark of zero it calls
`pause_writing`, still within `write`, exactly when the kernel did not take everything, `resume_writing` when it has.
"""

import asyncio
import logging
import time

from gateway.close_codes import NO_GOODBYE, OUR_FAULT, POLICY
from gateway.wire.frames import close_frame, ping_frame, pong_frame
from gateway.wire.messages import (
    CloseReceived,
    Event,
    MessageLimits,
    MessageReader,
    MessageReceived,
    PingReceived,
    PongReceived,
    ProtocolViolation,
    receive,
)
from gateway.wire.ports import Peer

CLOSE_SECONDS = 5.0  # for the client to answer a goodbye (reliability.md row 50)
MAX_CONTROLS = 20  # pings and pongs a second; past it the connection ends (reliability.md row 51)

_logger = logging.getLogger(__name__)
_PING = ping_frame()
_NO_CODE = 1005  # what a goodbye without a code is called (RFC 6455 §7.1.5)

# Stages of an incarnation, in the only order they can have.
_OPEN = 0
_CLOSING = 1  # our goodbye is written, the client's is awaited
_ENDING = 2  # the transport is being closed; what still arrives is ignored
_GONE = 3


class WebSocketConnection(asyncio.Protocol):
    """A `gateway.wire.ports.Connection`.

    Made for a transport whose reading is paused; `open` says the handshake's answer, in one write with the first frame.
    """

    __slots__ = (
        "_blocked",
        "_controls",
        "_held",
        "_limits",
        "_owed",
        "_paused",
        "_reader",
        "_said",
        "_second",
        "_stage",
        "_timer",
        "_transport",
        "_unsaid",
        "peer",
        "peer_address",
    )

    def __init__(self, transport: asyncio.Transport, peer: Peer, limits: MessageLimits, peer_address: str) -> None:
        self.peer_address = peer_address
        self._transport = transport
        self.peer = peer
        self._limits = limits
        self._unsaid = b""  # the handshake's answer, until the first frame goes with it
        self._stage = _OPEN
        self._reader: MessageReader | None = None
        self._held: list[Event] | None = None  # read, but not wanted while reading is paused
        self._paused = False  # by the peer
        self._blocked = False  # the kernel has not taken everything
        self._owed = False  # the peer was told so and waits for `writable`
        self._timer: asyncio.TimerHandle | None = None
        self._said: CloseReceived | None = None  # the client's
        self._second = 0  # the second in which controls are counted
        self._controls = 0
        transport.set_write_buffer_limits(high=0)  # `pause_writing` then tells of the first byte that is left

    def open(self, answer: bytes, behind: bytes) -> None:
        """Begin: `answer` is the handshake's, `behind` are the bytes that came with it."""
        self._unsaid = answer
        try:
            self.peer.opened(self)
        except Exception:
            self._fail("opened")
        self._say_answer()
        if behind:
            self.data_received(behind)
        self._take_up_reading()

    # --- what the peer asks (ports.Connection) ---

    def send(self, frame: bytes) -> bool:
        if self._stage != _OPEN:
            return False
        if self._unsaid:
            frame, self._unsaid = self._unsaid + frame, b""
        self._transport.write(frame)
        if self._blocked:
            self._owed = True
            return False
        return True

    @property
    def is_open(self) -> bool:
        return self._stage == _OPEN

    def unsent(self) -> int:
        return 0 if self._stage == _GONE else self._transport.get_write_buffer_size()

    def _say_answer(self) -> None:
        if self._unsaid:
            answer, self._unsaid = self._unsaid, b""
            self._transport.write(answer)

    def ping(self) -> None:
        if self._stage == _OPEN:
            self._transport.write(_PING)

    def close(self, code: int, reason: str) -> None:
        if self._stage == _OPEN:
            self._stage = _CLOSING
            self._say_answer()
            self._transport.write(close_frame(code, reason))
            self._cut_off_later()
            self.resume_reading()  # or its answer would never be seen

    def abort(self) -> None:
        if self._stage != _GONE:
            self._stage = _ENDING
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._stage == _OPEN and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._take_up_reading)  # never from within the peer's own call

    # --- what the transport tells (asyncio.Protocol) ---

    def data_received(self, data: bytes) -> None:
        if self._stage < _ENDING:
            events, self._reader = receive(data, self._reader, self._limits)
            self._deliver(events)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        if self._owed and self._stage < _GONE:  # also while closing: what was sent before the goodbye has gone out
            self._owed = False
            try:
                self.peer.writable()
            except Exception:
                self._fail("writable")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage = _GONE
        if self._timer:
            self._timer.cancel()
        peer, said = self.peer, self._said
        # Whoever still holds this object must not keep the transport or the session alive, nor close a circle.
        del self._transport, self.peer
        self._timer = self._reader = self._held = None
        try:
            if said is None:
                peer.closed(NO_GOODBYE.code, NO_GOODBYE.reason)
            else:
                peer.closed(_NO_CODE if said.code is None else said.code, said.reason)
        except Exception:
            _logger.exception("a peer failed in closed", extra={"peer": self.peer_address})

    # --- between the two ---

    def _deliver(self, events: list[Event]) -> None:
        try:
            for index, event in enumerate(events):
                if self._paused:
                    self._held = events[index:]
                    return
                if type(event) is MessageReceived:
                    if self._stage == _OPEN:
                        self.peer.message(event.text, event.payload)
                else:
                    self._control(event)
        except Exception:
            self._fail("message")

    def _control(self, event: Event) -> None:
        match event:
            case PingReceived():
                if self._may_control():
                    self._transport.write(pong_frame(event.payload))
            case PongReceived():
                if self._may_control():
                    self.peer.pong()
            case CloseReceived():
                self._answer_goodbye(event)
            case ProtocolViolation():
                self._cut(event)

    def _may_control(self) -> bool:
        """Counts pings and pongs by the second; a flood of them is answered with a goodbye."""
        if self._stage != _OPEN:
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._controls = second, 0
        self._controls += 1
        if self._controls > MAX_CONTROLS:
            self.close(POLICY.code, "too many pings")
        return self._stage == _OPEN

    def _answer_goodbye(self, said: CloseReceived) -> None:
        self._said = said
        if self._stage == _OPEN:
            self._transport.write(close_frame(said.code))
        self._stage = _ENDING
        self._transport.close()  # writes what is buffered first
        if self._transport.get_write_buffer_size():
            self._cut_off_later()

    def _cut(self, violation: ProtocolViolation) -> None:
        """Say why, and end. What the client goes on sending is read and dropped: closing a socket with unread bytes
        resets it, and the reset may overtake the goodbye."""
        if self._stage == _OPEN:
            self._transport.write(close_frame(violation.code, violation.reason))
        self._stage = _ENDING
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._cut_off_later()
        else:
            self._transport.close()

    def _cut_off_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _take_up_reading(self) -> None:
        held, self._held = self._held, None
        if held:
            self._deliver(held)
        if not self._paused and self._stage != _GONE and not self._transport.is_closing():
            self._transport.resume_reading()

    def _fail(self, where: str) -> None:
        _logger.exception("a peer failed in %s", where, extra={"peer": self.peer_address})
        self.close(OUR_FAULT.code, OUR_FAULT.reason)
