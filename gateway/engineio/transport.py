"""One Engine.IO connection as a transport: carried by long-polling, by a WebSocket, or by the one and then the other.

What is sent while no poll waits is queued. It has left this process when the kernel has the answer of a poll that
carries it; a poll whose answer is lost ends the connection, as it does on the client's side. An upgrade moves the queue
to the WebSocket, and the connection goes on there.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from gateway.close_codes import BAD_MESSAGES, CONNECTION_LOST, DONE, INTERNAL_ERROR, CloseCode
from gateway.engineio.ids import ConnectionId
from gateway.sessions.timer import Deadlines
from gateway.wire.engineio import (
    CLOSE,
    ENGINE_POLLING,
    ENGINE_WEBSOCKET,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    SEPARATOR,
    EngineFraming,
    Packet,
    PollingFraming,
    reframe,
)
from gateway.wire.ports import ClientTransport, TransportHandler

CLOSE_SECONDS = 5.0  # for a client to fetch the packet that closes its connection
PACKETS_PER_ITERATION = 64

log = logging.getLogger(__name__)

_OPEN = 0
_CLOSING = 1  # the client has still to be told
_GONE = 2


class Poll(Protocol):
    """A client's GET that waits for packets. After `answer` returned False, `EngineTransport.on_poll_written` or
    `on_poll_lost` follows; `on_poll_lost` also when the client is gone while it waits."""

    is_relayed: bool  # it waits at another node, so that its next one may overtake the news that it was answered

    def answer(self, payload: bytes) -> bool:
        """Answer it with this payload. True: the kernel has all of it."""
        ...

    def refuse(self) -> None:
        """Answer it as a bad request."""
        ...


class ProbedWebSocket(Protocol):
    """A WebSocket that is tried out, here or on another node."""

    def close(self, code: int, reason: str) -> None: ...


Posted = Callable[[bool], None]
"""Called when a POST's packets are delivered; False: it was refused, and the connection is over."""


class EngineTransport:
    """A `gateway.wire.ports.ClientTransport`."""

    __slots__ = (
        "_acknowledged",
        "_answering",
        "_awaits_writable",
        "_deadlines",
        "_handler",
        "_how",
        "_on_end",
        "_packets",
        "_paused",
        "_poll",
        "_posted",
        "_probing",
        "_queue",
        "_queued",
        "_stage",
        "_websocket",
        "began_ns",
        "framing",
        "id",
    )

    def __init__(
        self,
        id: ConnectionId,
        handler: TransportHandler,
        deadlines: Deadlines,
        on_end: Callable[["EngineTransport"], None],
    ) -> None:
        """Carried by long-polling until a WebSocket is attached. `on_end`: called once, when it is over."""
        self.id = id
        self.began_ns = time.monotonic_ns()
        self.framing: EngineFraming | PollingFraming = ENGINE_POLLING
        self._handler = handler
        self._deadlines = deadlines
        self._on_end = on_end
        self._stage = _OPEN
        self._how: tuple[int, str] | None = None  # this side's code and reason, if it closed first
        self._queue: list[bytes] = []  # payload pieces for the next poll
        self._queued = 0  # their bytes
        self._poll: Poll | None = None  # waits, or is being answered
        self._answering = 0  # bytes of the answer that is not with the kernel yet
        self._acknowledged = 0  # bytes of answers that the kernel has
        self._awaits_writable = False  # the handler has something that was not with the kernel at once
        self._packets: list[Packet] = []  # of a POST, that are not delivered yet
        self._posted: Posted | None = None  # of that POST
        self._paused = False  # by the handler
        self._probing: ProbedWebSocket | None = None  # a WebSocket that is tried out
        self._websocket: ClientTransport | None = None  # carries it

    @property
    def handler(self) -> TransportHandler:
        """Whom it tells what the client sends."""
        return self._handler

    # For the handler (`gateway.wire.ports.ClientTransport`) ---------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._stage == _OPEN

    def send(self, frame: bytes) -> bool:
        if self._stage != _OPEN:
            return False
        if self._websocket is not None:
            return self._websocket.send(frame)
        self._enqueue(frame)
        taken = self._flush()
        self._awaits_writable |= not taken
        return taken

    def unsent(self) -> int:
        return self._queued + self._answering + (self._websocket.unsent() if self._websocket is not None else 0)

    def acknowledged(self) -> int:
        return self._acknowledged + (self._websocket.acknowledged() if self._websocket is not None else 0)

    def is_lost(self) -> bool:
        return self._websocket is not None and self._websocket.is_lost()

    @property
    def reading_paused(self) -> bool:
        return self._websocket.reading_paused if self._websocket is not None else self._paused

    def ping(self) -> bool:
        """Send the protocol's PING, unless earlier bytes wait."""
        if self._stage != _OPEN or self._queue or self._answering:
            return False
        if self._websocket is not None and self._websocket.unsent():
            return False
        if not self.send_own(PING):
            self._handler.on_blocked()
        return True

    def send_own(self, type: bytes, data: bytes = b"") -> bool:
        """Send a packet of the protocol's own."""
        return self.send(self.framing.packet(type, data))

    def close(self, code: int, reason: str) -> None:
        if self._stage != _OPEN:
            return
        self._stage, self._how = _CLOSING, (code, reason)
        if self._probing is not None:
            self._probing.close(code, reason)
        if self._websocket is not None:
            self._websocket.close(code, reason)
            return
        self._drop_post()
        self._enqueue(CLOSE)
        if self._flush():
            asyncio.get_running_loop().call_soon(self._end, CONNECTION_LOST)  # never from within the handler's own call
        else:
            self._deadlines.schedule_after(lambda _now: self._end(CONNECTION_LOST), CLOSE_SECONDS)

    def pause_reading(self) -> None:
        self._paused = True
        if self._websocket is not None:
            self._websocket.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if self._websocket is not None:
            self._websocket.resume_reading()
        elif self._packets:
            asyncio.get_running_loop().call_soon(self._deliver)

    # Long-polling ---------------------------------------------------------------------------------------------------

    @property
    def is_polling(self) -> bool:
        """Whether polls and POSTs may come: no WebSocket carries it yet."""
        return self._websocket is None and self._stage != _GONE

    def on_poll(self, poll: Poll) -> None:
        """A GET has come. Two at once are refused, and end the connection (docs/promises.md, row 61). A client polls
        again when it has the answer to its last poll."""
        self.settle_answered()
        if self._poll is not None:
            poll.refuse()
            self.fail()
            return
        self._poll = poll
        if self._queue:
            if self._flush():
                self._on_taken()
        elif self._probing is not None:
            self._answer_noop()

    def on_poll_written(self, poll: Poll) -> None:
        """The kernel has the answer."""
        if poll is self._poll:
            self._acknowledged += self._answering
            self._answering, self._poll = 0, None
            self._on_taken()

    def settle_answered(self) -> None:
        """The client has gone on after its last poll, so it has the answer: the news of that is on its way only."""
        if self._poll is not None and self._answering and self._poll.is_relayed:
            self.on_poll_written(self._poll)

    def on_poll_lost(self, poll: Poll) -> None:
        """The client is gone before its poll was answered, or before the kernel had the answer."""
        if poll is self._poll:
            self._poll = None
            self._end(CONNECTION_LOST)

    def on_post(self, packets: list[Packet], posted: Posted) -> None:
        """A POST has come: its packets are delivered in their order, as far as reading is not paused."""
        if self._posted is not None:
            posted(False)
            self.fail()
            return
        self._packets, self._posted = packets[::-1], posted
        self._deliver()

    def on_partial(self) -> None:
        """A part of a POST has come: a sign of life."""
        self._handler.on_partial()

    def _enqueue(self, piece: bytes) -> None:
        self._queue.append(piece)
        self._queued += len(piece)

    def _flush(self) -> bool:
        """Answer the poll that waits with all that is queued. True: the kernel has it."""
        if self._poll is None or self._answering:
            return False
        payload = SEPARATOR.join(self._queue)
        self._queue.clear()
        self._queued, self._answering = 0, len(payload)
        if not self._poll.answer(payload):
            return False
        self._acknowledged += self._answering
        self._answering, self._poll = 0, None
        return True

    def _on_taken(self) -> None:
        if self._stage == _CLOSING and not self._queue:
            self._end(CONNECTION_LOST)
        elif self._awaits_writable and not self._queue:
            self._awaits_writable = False
            self._handler.on_writable()

    def _answer_noop(self) -> None:
        """Answer the poll that waits with nothing. One that is being answered is left alone: what it carries is not
        settled yet."""
        if self._poll is not None and not self._answering:
            poll, self._poll = self._poll, None
            poll.answer(NOOP)

    def _deliver(self) -> None:
        """Deliver the packets of a POST, some in each iteration of the loop; then answer it."""
        for _ in range(PACKETS_PER_ITERATION):
            if self._paused or not self._packets or self._stage != _OPEN:
                break
            self._deliver_one(self._packets.pop())
        if self._stage != _OPEN:
            self._drop_post()
        elif self._packets and not self._paused:
            asyncio.get_running_loop().call_soon(self._deliver)
        elif not self._packets and self._posted is not None:
            posted, self._posted = self._posted, None
            posted(True)

    def _deliver_one(self, packet: Packet) -> None:
        try:
            self.on_packet(packet)
        except Exception:
            log.exception("on_message failed")
            self.close(INTERNAL_ERROR.code, INTERNAL_ERROR.reason)

    def _drop_post(self) -> None:
        """The connection is over: what was posted and not delivered is dropped, the POST itself is answered."""
        posted, self._posted = self._posted, None
        self._packets.clear()
        if posted is not None:
            posted(True)

    # What the client sends ------------------------------------------------------------------------------------------

    def on_packet(self, packet: Packet) -> None:
        """One packet, whatever has carried it."""
        if self._stage != _OPEN:
            return
        if packet.type == MESSAGE:
            self._handler.on_message(packet.text, packet.data)
        elif packet.type == PONG:
            self._handler.on_pong()
        elif packet.type == CLOSE:
            self._end(DONE)
        elif packet.type in (OPEN, PING):
            self.fail()

    def fail(self) -> None:
        """The client has violated the protocol: end at once."""
        if self._websocket is not None:
            self.close(BAD_MESSAGES.code, BAD_MESSAGES.reason)
        else:
            self._how = self._how or (BAD_MESSAGES.code, BAD_MESSAGES.reason)
            self._end(BAD_MESSAGES)

    # The WebSocket --------------------------------------------------------------------------------------------------

    def carry_by(self, websocket: ClientTransport, framing: EngineFraming = ENGINE_WEBSOCKET) -> None:
        """A new connection begins on a WebSocket."""
        self._websocket, self.framing = websocket, framing

    def begin_probe(self, websocket: ProbedWebSocket) -> bool:
        """A WebSocket is tried out: polls are answered at once, so that the client can stop polling. False: another
        one is tried, or carries it."""
        if self._probing is not None or self._websocket is not None or self._stage != _OPEN:
            return False
        self._probing = websocket
        self._answer_noop()
        return True

    def end_probe(self, websocket: ProbedWebSocket | None) -> None:
        """The WebSocket is gone, or was given up: everything is as before."""
        if websocket is not None and self._probing is websocket:
            self._probing = None

    def upgrade(self, websocket: ClientTransport, framing: EngineFraming = ENGINE_WEBSOCKET) -> bool:
        """The client has chosen the WebSocket that was probed: it carries the connection from now on."""
        if self._probing is not websocket or self._stage != _OPEN:
            return False
        self.settle_answered()
        self._answer_noop()
        self._probing, self._websocket, self.framing = None, websocket, framing
        queue, self._queue, self._queued = self._queue, [], 0
        self._handler.on_reframed()
        if self._paused:
            websocket.pause_reading()
        if not queue or websocket.send(reframe(queue, framing)):
            self._on_taken()
        return True

    def is_probed_by(self, websocket: ProbedWebSocket) -> bool:
        """Whether this WebSocket is the one that is tried out."""
        return self._probing is websocket and self._stage == _OPEN

    def hand_over(self) -> bytes:
        """The connection goes on elsewhere: nothing more happens here, and its handler is not told. The answer: what
        waits for a poll, as a payload."""
        self._probing, self._stage = None, _GONE
        self._answer_noop()
        self._drop_post()
        self._on_end(self)
        return SEPARATOR.join(self._queue)

    def on_websocket_writable(self) -> None:
        """The WebSocket has handed over everything."""
        self._handler.on_writable()

    def on_websocket_blocked(self) -> None:
        """The kernel has not taken what the WebSocket sent by itself."""
        self._handler.on_blocked()

    def on_websocket_closed(self, websocket: ClientTransport | None, code: int, reason: str) -> None:
        """A WebSocket is gone: one that carries the connection ends it."""
        self.end_probe(websocket)
        if websocket is None or websocket is self._websocket:
            self._how = self._how or (code, reason)
            self._end(CONNECTION_LOST)

    # The end --------------------------------------------------------------------------------------------------------

    def _end(self, why: CloseCode) -> None:
        if self._stage == _GONE:
            return
        self._stage = _GONE
        self._drop_post()
        self._close_poll()
        handler, how = self._handler, self._how or (why.code, why.reason)
        self._on_end(self)
        try:
            handler.on_close(*how)
        except Exception:
            log.exception("on_close failed")

    def _close_poll(self) -> None:
        poll, self._poll = self._poll, None
        if poll is not None and not self._answering:
            poll.answer(CLOSE)
        if self._probing is not None:
            self._probing.close(DONE.code, DONE.reason)
