"""Core: the offset to commit for one partition. Records finish in any order; an offset stands for all before it."""


class PartitionOffsets:
    """Offsets in flight, in the order of the partition."""

    def __init__(self) -> None:
        self._in_flight: dict[int, None] = {}
        self._next = 0
        self._committed = 0

    def begin(self, offset: int) -> None:
        """Execution of the record begins. Offsets must rise."""
        self._in_flight[offset] = None
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """The record is executed, or its dead letter is written."""
        del self._in_flight[offset]

    @property
    def finished_to(self) -> int:
        """The first offset that is not finished."""
        return next(iter(self._in_flight), self._next)

    @property
    def to_commit(self) -> int | None:
        """The offset to commit; None: the last commit covers everything that is finished."""
        return self.finished_to if self.finished_to > self._committed else None

    def on_committed(self, offset: int) -> None:
        """Kafka has committed the offset."""
        self._committed = max(self._committed, offset)
