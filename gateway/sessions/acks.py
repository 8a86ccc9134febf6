"""Core: which push an ack belongs to. Ack numbers come from one counter per node, so that a push's frame is shared."""

from collections.abc import Callable
from typing import Protocol

from gateway.sessions.session import Session
from registry.ids import MACHINE_IDS


class Acked(Protocol):
    """A push that waits for acks."""

    def acked(self, session: Session, data: bytes, content_type: str) -> bool:
        """A client answers. False: nothing waited for this session's ack."""
        ...

    def find_unacked(self, sid: int) -> Session | None:
        """The session whose ack is awaited."""
        ...


class Acks:
    """The pushes of this node that wait for acks. An ack for any other push, or a second one, is ignored."""

    def __init__(self, machine: Callable[[], int] = lambda: 0) -> None:
        """`machine`: the machine id of this node."""
        self._machine = machine
        self._last = 0
        self._waiting: dict[int, Acked] = {}

    def next(self) -> int:
        """A number for one push: no other node gives it, and it tells whose it is."""
        self._last += 1
        return self._last * MACHINE_IDS + self._machine()

    def other_owner(self, ack: int) -> int | None:
        """The machine id of the other node that has given this number; None: it is this node's own."""
        owner = ack % MACHINE_IDS
        return None if owner == self._machine() else owner

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

    def acked_elsewhere(self, sid: int, ack: int, data: bytes, content_type: str) -> None:
        """The client has answered on another node, which has taken its session over."""
        push = self._waiting.get(ack)
        session = push.find_unacked(sid) if push is not None else None
        if push is not None and session is not None:
            push.acked(session, data, content_type)

    def __len__(self) -> int:
        return len(self._waiting)
