"""Shell: the WebSockets of Engine.IO connections: one that opens a connection, and one that upgrades it.

Each is the handler of a `gateway.wire.websocket.WebSocketTransport` and passes on what arrives as packets.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.close_codes import BAD_MESSAGES, MESSAGE_TOO_BIG, NO_AUTH
from gateway.engineio.transport import EngineTransport
from gateway.sessions.timer import Deadlines
from gateway.wire.engineio import (
    ENGINE_WEBSOCKET,
    PING,
    PONG,
    PROBE,
    UPGRADE,
    EngineFraming,
    MalformedPayload,
    Packet,
    parse_packet,
)
from gateway.wire.ports import ClientTransport

PROBE_SECONDS = 10.0  # for a client to try a WebSocket out and to choose it


class EngineWebSocket:
    """A WebSocket that carries a connection (a `gateway.wire.ports.TransportHandler`)."""

    __slots__ = ("_engine", "_on_open", "_websocket")

    def __init__(self, engine: EngineTransport, on_open: Callable[[], None]) -> None:
        self._engine = engine
        self._on_open = on_open
        self._websocket: ClientTransport | None = None

    def on_open(self, transport: ClientTransport) -> None:
        self._websocket = transport
        framing = transport.framing
        self._engine.carry_by(transport, ENGINE_WEBSOCKET if not isinstance(framing, EngineFraming) else framing)
        self._on_open()

    def on_message(self, text: bool, payload: bytes) -> None:
        try:
            packet = parse_packet(text, payload)
        except MalformedPayload:
            self._engine.fail()
        else:
            self._engine.on_packet(packet)

    def on_too_large(self, size: int) -> None:
        self._engine.close(MESSAGE_TOO_BIG.code, MESSAGE_TOO_BIG.reason)

    def on_pong(self) -> None:
        """The protocol has pings of its own."""

    def on_partial(self) -> None:
        self._engine.on_partial()

    def on_blocked(self) -> None:
        self._engine.on_websocket_blocked()

    def on_reframed(self) -> None:
        """A WebSocket is never upgraded."""

    def on_writable(self) -> None:
        self._engine.on_websocket_writable()

    def on_close(self, code: int, reason: str) -> None:
        self._engine.on_websocket_closed(self._websocket, code, reason)


class UpgradeTarget(Protocol):
    """The connection that a probing WebSocket is to carry: here, or on another node."""

    def begin_probe(self, probe: "ProbingWebSocket") -> None:
        """The client tries the WebSocket out. Calls `probe.answer`, or `probe.refuse`, now or later."""
        ...

    def upgrade(self, probe: "ProbingWebSocket") -> None:
        """The client has chosen it. Calls `probe.switch_to`, or `probe.refuse`, now or later."""
        ...

    def end_probe(self, probe: "ProbingWebSocket") -> None:
        """It is gone without having been chosen."""
        ...

    def give_up(self) -> None:
        """There was no WebSocket after all."""
        ...


class LocalUpgrade:
    """The upgrade of a connection of this node (an UpgradeTarget)."""

    __slots__ = ("_engine",)

    def __init__(self, engine: EngineTransport) -> None:
        self._engine = engine

    def begin_probe(self, probe: "ProbingWebSocket") -> None:
        if self._engine.begin_probe(probe.websocket):
            probe.answer()
        else:
            probe.refuse()

    def upgrade(self, probe: "ProbingWebSocket") -> None:
        probe.switch_to(self._engine)
        if not self._engine.upgrade(probe.websocket):
            probe.refuse()

    def end_probe(self, probe: "ProbingWebSocket") -> None:
        self._engine.end_probe(probe.websocket)

    def give_up(self) -> None:
        """Nothing was begun."""


class ProbingWebSocket:
    """A WebSocket that is tried out, and carries the connection once the client has chosen it."""

    __slots__ = ("_carrying", "_chosen", "_deadlines", "_probed", "_target", "websocket")

    websocket: ClientTransport

    def __init__(self, target: UpgradeTarget, deadlines: Deadlines) -> None:
        self._target = target
        self._deadlines = deadlines
        self._probed = False
        self._chosen = False
        self._carrying: EngineTransport | None = None

    # For the target -------------------------------------------------------------------------------------------------

    def answer(self) -> None:
        """The client may choose this WebSocket."""
        self.websocket.send(ENGINE_WEBSOCKET.packet(PONG, PROBE))

    def refuse(self) -> None:
        """The connection cannot be carried by it; it goes on as before."""
        self._carrying = None
        self.websocket.close(BAD_MESSAGES.code, BAD_MESSAGES.reason)

    def switch_to(self, engine: EngineTransport) -> None:
        """It carries this connection from now on."""
        self._carrying = engine
        self.websocket.resume_reading()

    # From the WebSocket (`gateway.wire.ports.TransportHandler`) -----------------------------------------------------

    def on_open(self, transport: ClientTransport) -> None:
        self.websocket = transport
        self._deadlines.schedule_after(self._check_chosen, PROBE_SECONDS)

    def _check_chosen(self, _now: float) -> None:
        if not self._chosen:
            self.websocket.close(NO_AUTH.code, "upgrade")

    def on_message(self, text: bool, payload: bytes) -> None:
        try:
            packet = parse_packet(text, payload)
        except MalformedPayload:
            packet = None
        if self._carrying is not None:
            self._carry(packet, self._carrying)
        elif packet == Packet(PING, PROBE) and not self._probed:
            self._probed = True
            self._target.begin_probe(self)
        elif packet == Packet(UPGRADE) and self._probed and not self._chosen:
            self._chosen = True
            self.websocket.pause_reading()
            self._target.upgrade(self)
        else:
            self.refuse()

    def _carry(self, packet: Packet | None, engine: EngineTransport) -> None:
        if packet is None:
            engine.fail()
        else:
            engine.on_packet(packet)

    def on_too_large(self, size: int) -> None:
        self.websocket.close(MESSAGE_TOO_BIG.code, MESSAGE_TOO_BIG.reason)

    def on_pong(self) -> None:
        """The protocol has pings of its own."""

    def on_partial(self) -> None:
        if self._carrying is not None:
            self._carrying.on_partial()

    def on_blocked(self) -> None:
        if self._carrying is not None:
            self._carrying.on_websocket_blocked()

    def on_reframed(self) -> None:
        """A WebSocket is never upgraded."""

    def on_writable(self) -> None:
        if self._carrying is not None:
            self._carrying.on_websocket_writable()

    def on_close(self, code: int, reason: str) -> None:
        carrying, self._carrying = self._carrying, None
        self._chosen = True
        if carrying is not None:
            carrying.on_websocket_closed(self.websocket, code, reason)
        else:
            self._target.end_probe(self)
