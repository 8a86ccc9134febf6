"""Core: the nodes of the route table: from node keys and batch guards to the set of living nodes, and its changes.

An incarnation is *present* while its node key exists with its epoch. Without its key an incarnation only *lingers*: the
node may be alive and merely cut off from the store, so its routes still count, until the router, which has a stream to
the node, calls `RouteTable.end` (docs/design.md, "Dead, paused, cut off").
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from registry.dialable import why_not_dialable
from registry.model import Incarnation, Node

_decode = msgspec.json.Decoder(Node).decode


MAX_BATCH_DIGITS = 18  # of a batch's number: below 2^63


class TableChange(NamedTuple):
    """The net change of the nodes by one watch message or snapshot. One that came and went meanwhile is left out."""

    up: tuple[tuple[Incarnation, Node], ...] = ()
    changed: tuple[tuple[Incarnation, Node], ...] = ()  # the same incarnation with another value, as when it drains
    gone: tuple[Incarnation, ...] = ()  # no node key with this epoch any more: the incarnation lingers
    batches: tuple[tuple[Incarnation, int], ...] = ()  # the newest batch of an incarnation that the table holds
    lost: tuple[Incarnation, ...] = ()  # the store was restored or wiped, and does not have all that they registered


class NodeTable:
    """The living nodes. `take_change` after each watch message or snapshot."""

    __slots__ = ("_batches", "_before", "_changed_batches", "_current", "epochs", "lingering", "malformed", "present")

    def __init__(self) -> None:
        self.present: dict[Incarnation, Node] = {}
        self.lingering: set[Incarnation] = set()
        self.malformed = 0  # values that could not be decoded, since the start
        self.epochs: dict[str, int] = {}  # of every node key, also one whose value is malformed, by node id
        self._current: dict[str, Incarnation] = {}  # by node id
        self._batches: dict[str, int] = {}  # by node id
        self._changed_batches: set[str] = set()  # node ids
        self._before: dict[Incarnation, Node | None] = {}  # what has changed, as it was before

    def is_routable(self, incarnation: Incarnation) -> bool:
        """Whether the routes of this incarnation count: present or lingering."""
        return incarnation in self.present or incarnation in self.lingering

    def batch(self, incarnation: Incarnation) -> int:
        """The newest batch of this incarnation that the table holds; 0 for an incarnation that is not present."""
        return self._batches.get(incarnation.node, 0) if incarnation in self.present else 0

    def put_node(self, name: str, epoch: int, value: bytes) -> None:
        """The node's key has this value; `epoch` is its create-revision."""
        node = _decode_node(value)
        if node is None:
            self.malformed += 1
            self.delete_node(name)
            self.epochs[name] = epoch
            return
        incarnation = Incarnation(name, epoch)
        if self._current.get(name) != incarnation:
            self.delete_node(name)
        self._record_before(incarnation)
        self.epochs[name] = epoch
        self._current[name] = incarnation
        self.present[incarnation] = node
        self._changed_batches.add(name)

    def delete_node(self, name: str) -> None:
        """The node's key is gone."""
        self.epochs.pop(name, None)
        incarnation = self._current.pop(name, None)
        if incarnation is not None:
            self._record_before(incarnation)
            del self.present[incarnation]

    def put_batch(self, name: str, value: bytes) -> None:
        """The node's batch guard has this value."""
        if value.isdigit() and len(value) <= MAX_BATCH_DIGITS:
            self._batches[name] = int(value)
            self._changed_batches.add(name)
        else:
            self.malformed += 1

    def delete_batch(self, name: str) -> None:
        """The node's batch guard is gone."""
        self._batches.pop(name, None)

    def load(self, nodes: Iterable[tuple[str, int, bytes]], batches: Mapping[str, bytes]) -> None:
        """Replace everything by a snapshot. `nodes`: node id, epoch, value; `batches`: guard values by node id."""
        loaded = {name: (epoch, value) for name, epoch, value in nodes}
        for name in self.epochs.keys() - loaded.keys():
            self.delete_node(name)
        for name, (epoch, value) in loaded.items():
            self.put_node(name, epoch, value)
        self._batches = {}
        for name, value in batches.items():
            self.put_batch(name, value)

    def take_change(self) -> TableChange:
        """The net change since the last call."""
        up, changed, gone = [], [], []
        for incarnation, before in self._before.items():
            now = self.present.get(incarnation)
            if now is None and before is not None:
                gone.append(incarnation)
            elif now is not None and before is None:
                up.append((incarnation, now))
            elif now is not None and now != before:
                changed.append((incarnation, now))
        self.lingering.update(gone)
        names = sorted(self._changed_batches & self._current.keys() & self._batches.keys())
        batches = [(self._current[name], self._batches[name]) for name in names]
        self._before, self._changed_batches = {}, set()
        return TableChange(tuple(up), tuple(changed), tuple(gone), tuple(batches))

    def _record_before(self, incarnation: Incarnation) -> None:
        self._before.setdefault(incarnation, self.present.get(incarnation))


def _decode_node(value: bytes) -> Node | None:
    """None: not a node's value, or its address cannot be dialled."""
    try:
        node = _decode(value)
    except msgspec.MsgspecError:
        return None
    return None if why_not_dialable(node.node_address) else node
