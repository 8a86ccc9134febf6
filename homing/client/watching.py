"""What a watch has told so far, so that a new stream after a router's death tells only what changed. No I/O."""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from homing.client import answers
from homing.client.values import Came, Left, NodeDown, NodeState, NodeUp, Present, Synced
from homing.v1 import router_pb2 as pb

Change_co = TypeVar("Change_co", covariant=True)


class WatchState(Protocol[Change_co]):
    """Folds one stream after the other into one sequence of changes."""

    def begin(self) -> None:
        """A new stream begins with all that is there."""
        ...

    def take(self, said: pb.WatchResponse) -> Iterator[Change_co]:
        """The changes that one message means to whoever heard all before."""
        ...


class UserWatch:
    """A user's sessions."""

    def __init__(self) -> None:
        self._known: dict[int, Present] = {}
        self._unseen: set[int] = set()  # known, and not told by this stream yet
        self._synced = False

    def begin(self) -> None:
        self._unseen = set(self._known)

    def take(self, said: pb.WatchResponse) -> Iterator[Came | Left | Synced]:
        match said.WhichOneof("change"):
            case "came":
                present = answers.present(said.came)
                self._unseen.discard(present.session)
                if self._known.get(present.session) != present:
                    self._known[present.session] = present
                    yield Came(present)
            case "left":
                self._unseen.discard(said.left)
                if self._known.pop(said.left, None) is not None:
                    yield Left(said.left)
            case "synced":
                for gone in sorted(self._unseen):
                    del self._known[gone]
                    yield Left(gone)
                self._unseen.clear()
                if not self._synced:
                    self._synced = True
                    yield Synced()


class NodeWatch:
    """The gateways."""

    def __init__(self) -> None:
        self._known: dict[str, NodeState] = {}
        self._unseen: set[str] = set()
        self._synced = False

    def begin(self) -> None:
        self._unseen = set(self._known)

    def take(self, said: pb.WatchResponse) -> Iterator[NodeUp | NodeDown | Synced]:
        match said.WhichOneof("change"):
            case "node_up":
                state = answers.node_state(said.node_up)
                self._unseen.discard(state.node)
                if self._known.get(state.node) != state:
                    self._known[state.node] = state
                    yield NodeUp(state)
            case "node_down":
                self._unseen.discard(said.node_down)
                if self._known.pop(said.node_down, None) is not None:
                    yield NodeDown(said.node_down)
            case "synced":
                for gone in sorted(self._unseen):
                    del self._known[gone]
                    yield NodeDown(gone)
                self._unseen.clear()
                if not self._synced:
                    self._synced = True
                    yield Synced()
