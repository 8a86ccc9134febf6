"""The guarded micro-batcher (design §4, "Batches"): what is wanted, what is in flight, what is committed.

One batch is in flight at a time; whatever is wanted meanwhile gathers for the next, so a batch is as large as the store
is slow. Batch n may only be applied by a store whose guard key still says n - 1, and it is resent *unchanged* until an
answer says that it was: that is why a lost answer is harmless, and why `next_batch` gives nothing while one is open.

A key is in at most one of the three states the caller must think about:

    committed   the store has it, by the newest answered batch that named it
    in flight   the open batch puts or deletes it
    wanted      its last wish differs from what the open batch will leave behind

Wishes cancel out: a connect followed by a disconnect before either was sent costs nothing. Committed *values* are not
remembered (half a million of them would cost more than they save), only the number of the batch; so wishing for a value
that may be stored already sends it again, which is harmless.
"""

from itertools import islice
from typing import NamedTuple

LIMIT = 126  # operations a batch: etcd allows 128 a transaction, the guard is one, and one stays free


class Batch(NamedTuple):
    """One transaction's worth of changes, a key once. None as a value deletes the key."""

    number: int
    operations: tuple[tuple[str, bytes | None], ...]


class Settled(NamedTuple):
    """An answered batch: its number, and the keys whose last wish, a put, it has fulfilled."""

    number: int
    keys: list[str]


class Batcher:
    """Turns wishes into numbered batches."""

    __slots__ = ("_committed", "_flying", "_limit", "_open", "_wanted", "number")

    def __init__(self, number: int = 0, limit: int = LIMIT) -> None:
        """`number`: what the guard key says now. `limit`: operations in one batch."""
        self.number = number  # the newest batch that is known to be committed
        self._limit = limit
        self._committed: dict[str, int] = {}
        self._open: Batch | None = None
        self._flying: dict[str, bytes | None] = {}
        self._wanted: dict[str, bytes | None] = {}

    @property
    def open(self) -> Batch | None:
        """The batch in flight: resend exactly this."""
        return self._open

    @property
    def idle(self) -> bool:
        """Nothing in flight and nothing wanted."""
        return self._open is None and not self._wanted

    def want(self, key: str, value: bytes | None) -> None:
        """Wish for a key's value, or for its absence. The last wish counts; its place in the queue is its first's."""
        if self._will_hold(key, value):
            self._wanted.pop(key, None)
        else:
            self._wanted[key] = value

    def _will_hold(self, key: str, value: bytes | None) -> bool:
        """Whether the store will say so anyway once the open batch is answered."""
        if key in self._flying:
            return self._flying[key] == value
        return value is None and key not in self._committed

    def committed(self, key: str) -> int | None:
        """The number of the batch that put the key, if it is committed and nothing else is under way or wanted."""
        if key in self._wanted or key in self._flying:
            return None
        return self._committed.get(key)

    def next_batch(self) -> Batch | None:
        """Open the next batch. None while one is in flight, or when nothing is wanted."""
        if self._open is not None or not self._wanted:
            return None
        operations = tuple(islice(self._wanted.items(), self._limit))
        for key, _ in operations:
            del self._wanted[key]
        self._flying = dict(operations)
        self._open = Batch(self.number + 1, operations)
        return self._open

    def answered(self) -> Settled:
        """The store has applied the open batch: it is committed. RuntimeError when none is open."""
        if self._open is None:
            raise RuntimeError("no batch is in flight")
        number, operations = self._open
        settled = []
        for key, value in operations:
            if value is None:
                self._committed.pop(key, None)
                continue
            self._committed[key] = number
            if key not in self._wanted:
                settled.append(key)
        self.number, self._open, self._flying = number, None, {}
        return Settled(number, settled)
