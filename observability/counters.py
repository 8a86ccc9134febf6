"""Counters as plain integers: an increment on a hot path must cost nanoseconds, so each is a slot of one object."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from observability.names import Counter


class Counters:
    """Every counter of one service, by attribute: `counters.pushes += 1`. An unknown name is an AttributeError."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> int: ...
        def __setattr__(self, name: str, value: int) -> None: ...


def counters(names: Sequence[Counter]) -> Counters:
    """All of these at zero. The slots are the names, so a misspelt one cannot be counted unseen."""
    kind = type("Counters", (Counters,), {"__slots__": tuple(counter.name for counter in names)})
    made: Counters = kind()
    for counter in names:
        setattr(made, counter.name, 0)
    return made
