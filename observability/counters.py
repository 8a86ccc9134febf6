"""Core: counters as plain integers in the slots of one object: an increment on a hot path costs nanoseconds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from observability.names import Counter


class Counters:
    """The counters of one service, as attributes: `counters.pushes += 1`. An unknown name is an AttributeError."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> int: ...
        def __setattr__(self, name: str, value: int) -> None: ...


def counters(names: Sequence[Counter]) -> Counters:
    """Counters with these names, all 0."""
    kind = type("Counters", (Counters,), {"__slots__": tuple(counter.name for counter in names)})
    zeroed: Counters = kind()
    for counter in names:
        setattr(zeroed, counter.name, 0)
    return zeroed
