"""The state of a watch across streams: after a router's death the next stream yields only what changed. No I/O."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from homing.client import responses
from homing.client.values import (
    NodeDown,
    NodeState,
    NodeUp,
    PresentSession,
    SessionConnected,
    SessionDisconnected,
    Synced,
)
from homing.v1 import router_pb2 as pb

Change_co = TypeVar("Change_co", covariant=True)


class WatchState(Protocol[Change_co]):
    """Merges consecutive streams into one sequence of changes."""

    def begin(self) -> None:
        """Start a new stream; its first messages list everything that is present."""
        ...

    def apply(self, message: pb.WatchResponse) -> Iterator[Change_co]:
        """The changes in one message that the caller has not received yet."""
        ...


class UserWatch:
    """The sessions of one user."""

    def __init__(self) -> None:
        self._known: dict[int, PresentSession] = {}
        self._unseen: set[int] = set()  # known sessions that the current stream has not listed yet
        self._synced = False

    def begin(self) -> None:
        self._unseen = set(self._known)

    def apply(self, message: pb.WatchResponse) -> Iterator[SessionConnected | SessionDisconnected | Synced]:
        match message.WhichOneof("change"):
            case "came":
                present = responses.decode_present_session(message.came)
                self._unseen.discard(present.session)
                if self._known.get(present.session) != present:
                    self._known[present.session] = present
                    yield SessionConnected(present)
            case "left":
                self._unseen.discard(message.left)
                if self._known.pop(message.left, None) is not None:
                    yield SessionDisconnected(message.left)
            case "synced":
                for session in sorted(self._unseen):
                    del self._known[session]
                    yield SessionDisconnected(session)
                self._unseen.clear()
                if not self._synced:
                    self._synced = True
                    yield Synced()


class NodeWatch:
    """The gateways of the cluster."""

    def __init__(self) -> None:
        self._known: dict[str, NodeState] = {}
        self._unseen: set[str] = set()  # known nodes that the current stream has not listed yet
        self._synced = False

    def begin(self) -> None:
        self._unseen = set(self._known)

    def apply(self, message: pb.WatchResponse) -> Iterator[NodeUp | NodeDown | Synced]:
        match message.WhichOneof("change"):
            case "node_up":
                state = responses.decode_node_state(message.node_up)
                self._unseen.discard(state.node)
                if self._known.get(state.node) != state:
                    self._known[state.node] = state
                    yield NodeUp(state)
            case "node_down":
                self._unseen.discard(message.node_down)
                if self._known.pop(message.node_down, None) is not None:
                    yield NodeDown(message.node_down)
            case "synced":
                for node in sorted(self._unseen):
                    del self._known[node]
                    yield NodeDown(node)
                self._unseen.clear()
                if not self._synced:
                    self._synced = True
                    yield Synced()
