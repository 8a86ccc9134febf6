"""What the old owner of a client still receives for it goes to the new owner: pushes, answers, disconnects.

From the moment its state is given away the old owner writes nothing to the client itself.
"""

from collections.abc import Callable

from gateway.close_codes import CloseCode
from gateway.outcome import ABSENT, DROPPED_SLOW, UNREACHABLE
from gateway.sessions.session import OutcomeSink, Session
from gateway.wire.engineio import ENGINE_WEBSOCKET
from gateway.wire.ports import Framing
from gateway.wire.values import Messages
from homing.internal.v1 import node_pb2

MAX_BYTES = 1024 * 1024  # of pushes whose outcome the new owner has not told
UNSENT = 1  # number of what waited for a poll


class ForwardingConnection:
    """In the place of the connection that was given away (a `gateway.sessions.session.SessionConnection`)."""

    seen_at = 0.0

    def __init__(
        self, forward: Callable[[node_pb2.Forwarded], None], unsent: list[tuple[Session, OutcomeSink]]
    ) -> None:
        """`unsent`: whose pushes wait in the payload that was given away."""
        self._forward = forward
        self._last = UNSENT
        self._sinks: dict[int, list[tuple[Session, OutcomeSink]]] = {UNSENT: unsent}
        self._sizes: dict[int, int] = {}
        self._bytes = 0

    @property
    def framing(self) -> Framing:
        return ENGINE_WEBSOCKET

    def write(self, frame: bytes, session: Session, sink: OutcomeSink) -> int:
        """Forward a push; its outcome follows."""
        if self._bytes and self._bytes + len(frame) > MAX_BYTES:
            return DROPPED_SLOW
        self._last += 1
        self._sinks[self._last] = [(session, sink)]
        self._sizes[self._last] = len(frame)
        self._bytes += len(frame)
        forwarded = node_pb2.Forwarded(number=self._last, session=session.sid, push_id=sink.push_id, frame=frame)
        if sink.repeat_key is not None:
            forwarded.dedup, forwarded.caller = True, sink.repeat_key[0]
        self._forward(forwarded)
        return 0

    def send(self, messages: Messages) -> bool:
        if messages:
            self._forward(node_pb2.Forwarded(frame=ENGINE_WEBSOCKET.frame(messages)))
        return True

    def unsent(self) -> int:
        return self._bytes

    def close(self, why: CloseCode, reason: str = "") -> None:
        self._forward(node_pb2.Forwarded(close_code=why.code, close_reason=reason or why.reason))

    def disconnect(self, session: Session, why: CloseCode, reason: str) -> None:
        self._forward(node_pb2.Forwarded(session=session.sid, close_code=why.code, close_reason=reason))

    def request_reconnect(self, *, close: bool) -> None:
        """The new owner keeps the client."""

    def on_outcome(self, number: int, outcome: int) -> None:
        """The new owner tells what became of a push."""
        self._bytes -= self._sizes.pop(number, 0)
        for session, sink in self._sinks.pop(number, ()):
            sink.settle(session, outcome or ABSENT)

    def lose(self) -> None:
        """The new owner cannot be reached any more: what it was given last may have been written, or not."""
        for number in list(self._sinks):
            self.on_outcome(number, UNREACHABLE)
