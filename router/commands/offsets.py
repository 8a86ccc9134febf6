"""Core: how far one partition is carried out. Records end in any order; an offset stands for all before it."""


class PartitionOffsets:
    """Offsets under way, in the order in which they began, which is the partition's."""

    def __init__(self) -> None:
        self._under_way: dict[int, None] = {}
        self._next = 0
        self._committed = 0

    def begin(self, offset: int) -> None:
        """A record is being carried out."""
        self._under_way[offset] = None
        self._next = offset + 1

    def end(self, offset: int) -> None:
        """It is carried out, or dead and buried."""
        del self._under_way[offset]

    @property
    def reached(self) -> int:
        """Everything before this offset has ended."""
        return next(iter(self._under_way), self._next)

    @property
    def to_commit(self) -> int | None:
        """The offset to be committed; None: the last one committed is as good."""
        return self.reached if self.reached > self._committed else None

    def committed(self, offset: int) -> None:
        """Kafka has it."""
        self._committed = max(self._committed, offset)
