"""Core: events of node and batch keys become the set of living nodes, and what changed about it.

An incarnation is *present* while its node key stands with its epoch. When the key goes, the incarnation only *lingers*:
the node may be alive and merely cut off from the store, so what it registered still counts until the router, which sees
the node's own stream, says `end` (design §4, "Dead, paused, cut off").
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from registry.model import Incarnation, Node

_decode = msgspec.json.Decoder(Node).decode


class TableChange(NamedTuple):
    """What one fold changed about nodes, net: an incarnation that came and went within it is not told."""

    up: tuple[tuple[Incarnation, Node], ...] = ()
    changed: tuple[tuple[Incarnation, Node], ...] = ()  # the same incarnation with another value: it drains
    gone: tuple[Incarnation, ...] = ()  # the node key is gone, or another epoch's: the incarnation lingers until `end`
    batches: tuple[tuple[Incarnation, int], ...] = ()  # the newest batch of an incarnation that the table now holds


class Nodes:
    """The living nodes. Feed it events, then `settle` once per fold."""

    __slots__ = ("_before", "_current", "_moved", "_numbers", "lingering", "malformed", "present")

    def __init__(self) -> None:
        self.present: dict[Incarnation, Node] = {}
        self.lingering: set[Incarnation] = set()
        self.malformed = 0  # values that nobody could read, since the start
        self._current: dict[str, Incarnation] = {}
        self._numbers: dict[str, int] = {}
        self._moved: set[str] = set()
        self._before: dict[Incarnation, Node | None] = {}

    def counts(self, incarnation: Incarnation) -> bool:
        """Whether the routes of this incarnation count."""
        return incarnation in self.present or incarnation in self.lingering

    def number(self, incarnation: Incarnation) -> int:
        """The newest batch of this incarnation that the table holds; 0 for an incarnation that is not present."""
        return self._numbers.get(incarnation.node, 0) if incarnation in self.present else 0

    def put_node(self, name: str, epoch: int, value: bytes) -> None:
        """The node's key stands with this create-revision."""
        try:
            node = _decode(value)
        except msgspec.MsgspecError:
            self.malformed += 1
            self.drop_node(name)
            return
        incarnation = Incarnation(name, epoch)
        if self._current.get(name) != incarnation:
            self.drop_node(name)
        self._remember(incarnation)
        self._current[name] = incarnation
        self.present[incarnation] = node
        self._moved.add(name)

    def drop_node(self, name: str) -> None:
        """The node's key is gone."""
        incarnation = self._current.pop(name, None)
        if incarnation is not None:
            self._remember(incarnation)
            del self.present[incarnation]

    def put_batch(self, name: str, value: bytes) -> None:
        """The node's guard says this number."""
        if value.isdigit():
            self._numbers[name] = int(value)
            self._moved.add(name)
        else:
            self.malformed += 1

    def drop_batch(self, name: str) -> None:
        """The node's guard is gone."""
        self._numbers.pop(name, None)

    def replace(self, nodes: Iterable[tuple[str, int, bytes]], batches: Mapping[str, bytes]) -> None:
        """A fresh snapshot: whatever is not in it is gone."""
        fresh = {name: (epoch, value) for name, epoch, value in nodes}
        for name in self._current.keys() - fresh.keys():
            self.drop_node(name)
        for name, (epoch, value) in fresh.items():
            self.put_node(name, epoch, value)
        self._numbers = {}
        for name, value in batches.items():
            self.put_batch(name, value)

    def settle(self) -> TableChange:
        """What has changed since the last call."""
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
        moved = [(self._current[name], self._numbers[name]) for name in sorted(self._moved) if self._numbered(name)]
        self._before, self._moved = {}, set()
        return TableChange(tuple(up), tuple(changed), tuple(gone), tuple(moved))

    def _numbered(self, name: str) -> bool:
        return name in self._current and name in self._numbers

    def _remember(self, incarnation: Incarnation) -> None:
        self._before.setdefault(incarnation, self.present.get(incarnation))
