"""Core: which push an ack belongs to. Ack numbers come from one counter per node, so that a push's frame is shared."""

from typing import Protocol

from gateway.sessions.session import Session


class Acked(Protocol):
    """A push that waits for acks."""

    def acked(self, session: Session, data: bytes, content_type: str) -> bool:
        """A client answers. False: nothing waited for this session's ack."""
        ...


class Acks:
    """The pushes of this node that wait for acks. An ack for any other push, or a second one, is ignored."""

    def __init__(self) -> None:
        self._last = 0
        self._waiting: dict[int, Acked] = {}

    def next(self) -> int:
        """A number for one push."""
        self._last += 1
        return self._last

    def wait(self, ack: int, push: Acked) -> None:
        """From now on acks under this number are this push's."""
        self._waiting[ack] = push

    def forget(self, ack: int) -> None:
        """The push has been reported."""
        self._waiting.pop(ack, None)

    def acked(self, session: Session, ack: int, data: bytes, content_type: str) -> bool:
        """A client answers. False: nobody has requested it."""
        push = self._waiting.get(ack)
        return push is not None and push.acked(session, data, content_type)

    def __len__(self) -> int:
        return len(self._waiting)
