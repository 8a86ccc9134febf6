"""What all WebSockets of a node share: limits, budget and deadlines of unfinished messages, and what their end does."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages


class Deadlined(Protocol):
    """A transport that looks at its unfinished message when a deadline is due."""

    def on_deadline(self) -> None: ...
    def __hash__(self) -> int: ...


Watch = Callable[[Deadlined, float], object]
"""Calls `on_deadline` after so many seconds, about; one wheel for all of a process."""


def ignore_end(_address: str) -> None:
    """Nobody counts connections."""


class UploadRules(NamedTuple):
    """One object per subprotocol, shared by its connections."""

    limits: MessageLimits  # of one client
    unfinished: UnfinishedMessages  # the budget of all clients
    watch: Watch
    on_end: Callable[[str], object] = ignore_end  # called with the address of each client whose connection has ended
