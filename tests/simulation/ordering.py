"""An order for what has none in Python, so that a run depends on its seed alone.

The order of a set is that of its members' hashes, which are addresses for most objects and randomized for strings.
"""

from collections.abc import Iterable, Iterator, MutableSet
from typing import Any


class OrderedSet(MutableSet[Any]):
    """A set in the order of insertion."""

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[Any] = ()) -> None:
        self._members = dict.fromkeys(members)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[Any]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def copy(self) -> "OrderedSet":
        return OrderedSet(self._members)

    def add(self, member: object) -> None:
        self._members[member] = None

    def discard(self, member: object) -> None:
        self._members.pop(member, None)


SET_USERS = (
    "gateway.authentication",
    "gateway.back_pressure",
    "gateway.delivery.push_job",
    "gateway.delivery.push_writer",
    "gateway.delivery.router_streams",
    "gateway.sessions.wheel",
    "registry.memory",
)
"""Modules whose sets of objects are iterated."""

REPLACED: dict[str, Any] = {f"{module}.set": OrderedSet for module in SET_USERS}
REPLACED["registry.model.Incarnation.__hash__"] = lambda self: self.epoch
