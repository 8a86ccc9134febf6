"""The gateway's side of a simulated client's connection: a `ClientTransport` that records every push it is given."""

from collections import deque
from typing import TYPE_CHECKING

from gateway.sessions.connection import Connection
from gateway.wire.frames import WEBSOCKET
from tests.simulation.history import Receipt
from tests.simulation.loop import ProcessLoop

if TYPE_CHECKING:
    from tests.simulation.client import SimulatedClient
    from tests.simulation.gateway_process import GatewayProcess

CLOSE_LIMIT = 5.0  # seconds for a client to answer a close frame
PUSH_KEY = b'"push":"'
PUSH_ID_SIZE = 8


class SimulatedTransport:
    """One client's connection at its gateway. While `stuck`, the kernel takes nothing."""

    framing = WEBSOCKET
    reading_paused = False

    def __init__(self, gateway: "GatewayProcess", client: "SimulatedClient") -> None:
        self.loop: ProcessLoop = gateway.loop
        self.stuck = False
        self.lost = False  # by the client, before the connection was open
        self._gateway = gateway
        self._client = client
        self._handler: Connection | None = None
        self._is_open = False
        self._pipe = gateway.network.pipe(gateway.loop.name, client.loop)
        self._kept: deque[tuple[bytes, Receipt | None]] = deque()
        self._unsent = 0
        self._unread: list[bytes] = []
        self._opened_at = -1.0

    def open(self, handler: Connection) -> None:
        """The client was admitted."""
        if self.lost:
            handler.on_close(1006, "")
            return
        self._handler = handler
        self._is_open = True
        handler.on_open(self)

    # For the connection

    @property
    def is_open(self) -> bool:
        return self._is_open

    def send(self, frame: bytes) -> bool:
        if not self._is_open:
            return False
        receipt = self._record(frame)
        if self.stuck or self._kept:
            self._kept.append((frame, receipt))
            self._unsent += len(frame)
            return False
        self._pipe.send(self._client.on_frame, frame, receipt)
        return True

    def unsent(self) -> int:
        return self._unsent

    def acknowledged(self) -> int:
        return 0

    def is_lost(self) -> bool:
        return False

    def ping(self) -> bool:
        """Heartbeats are longer than a run."""
        return False

    def close(self, code: int, reason: str) -> None:
        if self._is_open:
            self._is_open = False
            self._kept.clear()
            self._client.on_closing()
            self._pipe.send(self._client.on_close, code)
            self.loop.call_later(CLOSE_LIMIT, self._on_gone, code, reason)

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        unread, self._unread = self._unread, []
        for payload in unread:
            self.on_message(payload)

    # From the client

    def on_message(self, payload: bytes) -> None:
        if self.reading_paused:
            self._unread.append(payload)
        elif self._is_open and self._handler is not None:
            self._handler.on_message(True, payload)

    def on_lost(self) -> None:
        """The client is gone, or has answered a close."""
        self.lost = True
        self._is_open = False
        self._on_gone(1006, "")

    def set_stuck(self, stuck: bool) -> None:
        self.stuck = stuck
        if stuck or not self._is_open or not self._kept:
            return
        for frame, receipt in self._kept:
            self._pipe.send(self._client.on_frame, frame, receipt)
        self._kept.clear()
        self._unsent = 0
        if self._handler is not None:
            self._handler.on_writable()

    def _on_gone(self, code: int, reason: str) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            self._is_open = False
            self._gateway.network.remove_connection(self)
            handler.on_close(code, reason)

    def _record(self, frame: bytes) -> Receipt | None:
        at = frame.find(PUSH_KEY)
        if at < 0:
            is_hello = frame.find(b'"type":"hello"') >= 0
            if is_hello or frame.find(b'"type":"ok"') >= 0:
                self._client.on_notified(self._gateway)
            if is_hello:
                self._opened_at = self.loop.time()
            return None
        start = at + len(PUSH_KEY)
        held = self.loop.time() == self._opened_at  # held pushes are written when the session is attached
        return self._gateway.record_write(self._client, frame[start : start + PUSH_ID_SIZE].decode(), held)
