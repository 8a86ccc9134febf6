"""Core: client events that wait for the bus, or are on their way to it; both count against the bounds."""

from collections import deque
from collections.abc import Sequence

from runtime.events.port import EventSettings, Record


class Buffer:
    """A queue of records, bounded in number and in bytes of values. The taker reports what became of them."""

    def __init__(self, settings: EventSettings) -> None:
        self._most = settings.buffer
        self._most_bytes = settings.buffer_bytes
        self._waiting: deque[Record] = deque()
        self._under_way = 0
        self._bytes = 0

    def __len__(self) -> int:
        """Records held: waiting and under way."""
        return len(self._waiting) + self._under_way

    @property
    def waiting(self) -> int:
        """Records that nobody has taken yet."""
        return len(self._waiting)

    def fits(self, size: int) -> bool:
        """Whether a record of `size` bytes is within the bounds. Into an empty buffer any does."""
        held = len(self)
        return held < self._most and (held == 0 or self._bytes + size <= self._most_bytes)

    def add(self, record: Record) -> None:
        """At the end of the line. Whether it `fits` is the caller's question."""
        self._waiting.append(record)
        self._bytes += len(record.value)

    def take(self, number: int) -> list[Record]:
        """At most `number` records from the head; they stay held until they are `done` or given back."""
        taken = [self._waiting.popleft() for _ in range(min(number, len(self._waiting)))]
        self._under_way += len(taken)
        return taken

    def give_back(self, records: Sequence[Record]) -> None:
        """To the head of the line, in this order."""
        self._waiting.extendleft(reversed(records))
        self._under_way -= len(records)

    def done(self, records: Sequence[Record]) -> None:
        """These are held no longer."""
        self._under_way -= len(records)
        self._bytes -= sum(len(record.value) for record in records)
