"""Core: a timer wheel. Half a million heartbeats cost one loop timer, not half a million.

Items are kept in slots of equal width; a slot is due when its whole width has passed, so an item never fires early and
at most one width late. Time is an argument (seconds on any monotonic clock).
"""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Wheel(Generic[T]):
    """Items by the moment they are due. `schedule` answers a ticket for `cancel`; both are O(1) but for a new slot."""

    __slots__ = ("_order", "_slots", "_width")

    def __init__(self, width: float) -> None:
        self._width = width
        self._slots: dict[int, tuple[int, set[T]]] = {}
        self._order: list[int] = []  # a heap of the slots that are there, or were emptied by cancels

    def schedule(self, item: T, at: float) -> int:
        """Make `item` due at `at`; the answer is its ticket."""
        slot = int(at / self._width) + 1
        found = self._slots.get(slot)
        if found is None:
            found = self._slots[slot] = slot, set()
            heapq.heappush(self._order, slot)
        ticket, items = found  # one int object a slot, and not one an item: 32 bytes a connection
        items.add(item)
        return ticket

    def cancel(self, item: T, ticket: int) -> None:
        """Forget `item`; one that has fired already is no error."""
        found = self._slots.get(ticket)
        if found is not None:
            found[1].discard(item)

    def next_due(self) -> float | None:
        """When the earliest slot is due; None when nothing is scheduled."""
        return self._order[0] * self._width if self._order else None

    def due(self, now: float) -> list[T]:
        """Take out everything whose moment has come, earliest slot first."""
        fired: list[T] = []
        while self._order and self._order[0] * self._width <= now:
            fired.extend(self._slots.pop(heapq.heappop(self._order))[1])
        return fired

    def __len__(self) -> int:
        return sum(len(items) for _, items in self._slots.values())
