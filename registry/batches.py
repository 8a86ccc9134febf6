"""Guarded micro-batches of registrations (docs/design.md, "Batches").

One batch is in flight at a time. Later changes gather for the next batch, so batches grow with the store's latency.
Batch n is applied only by a store whose guard key holds n - 1, and is resent *unchanged* until the store has
acknowledged it; so a lost answer is harmless, and `next_batch` returns None while a batch is in flight.

The state of a key:

    committed   the store has it, by the newest acknowledged batch that named the key
    in flight   the batch in flight puts or deletes it
    desired     the last requested value differs from what the batch in flight will leave

Changes cancel out: a connect and a disconnect before either was sent cost nothing. Committed *values* are not kept
(half a million would cost more than they save), only the number of the batch; so a request for a value that is already
stored is sent again, which is harmless.
"""

from itertools import islice
from typing import NamedTuple

MAX_OPERATIONS = 126  # of one batch: etcd allows 128 in a transaction, the guard is one, and one stays free


class Batch(NamedTuple):
    """The changes of one transaction, each key once. The value None deletes the key."""

    number: int
    operations: tuple[tuple[str, bytes | None], ...]


class CommittedBatch(NamedTuple):
    """An acknowledged batch. `keys`: those put by the batch, without those that a later request changes."""

    number: int
    keys: list[str]


class RegistrationBatcher:
    """Gathers the requested changes of one incarnation into numbered batches."""

    __slots__ = ("_committed", "_desired", "_in_flight", "_limit", "_sent", "last_committed")

    def __init__(self, last_committed: int = 0, limit: int = MAX_OPERATIONS) -> None:
        """`last_committed`: the number in the guard key. `limit`: operations in one batch."""
        self.last_committed = last_committed  # the newest batch that is known to be committed
        self._limit = limit
        self._committed: dict[str, int] = {}
        self._in_flight: Batch | None = None
        self._sent: dict[str, bytes | None] = {}  # the operations of the batch in flight
        self._desired: dict[str, bytes | None] = {}

    @property
    def in_flight(self) -> Batch | None:
        """The batch to resend, unchanged, until it is acknowledged."""
        return self._in_flight

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight and nothing is desired."""
        return self._in_flight is None and not self._desired

    def set(self, key: str, value: bytes | None) -> None:
        """Request a value for a key; None: its absence. The last request counts, the first one fixes the order."""
        if self._will_hold(key, value):
            self._desired.pop(key, None)
        else:
            self._desired[key] = value

    def _will_hold(self, key: str, value: bytes | None) -> bool:
        """Whether the key has this value without a further batch."""
        if key in self._sent:
            return self._sent[key] == value
        return value is None and key not in self._committed

    def committed_batch(self, key: str) -> int | None:
        """The batch that has put the key. None: not committed, or a change is in flight or desired."""
        if key in self._desired or key in self._sent:
            return None
        return self._committed.get(key)

    def next_batch(self) -> Batch | None:
        """Put the next batch in flight. None while one is in flight, or when nothing is desired."""
        if self._in_flight is not None or not self._desired:
            return None
        operations = tuple(islice(self._desired.items(), self._limit))
        for key, _ in operations:
            del self._desired[key]
        self._sent = dict(operations)
        self._in_flight = Batch(self.last_committed + 1, operations)
        return self._in_flight

    def acknowledge(self) -> CommittedBatch:
        """The store has applied the batch in flight. RuntimeError when there is none."""
        if self._in_flight is None:
            raise RuntimeError("no batch is in flight")
        number, operations = self._in_flight
        keys = []
        for key, value in operations:
            if value is None:
                self._committed.pop(key, None)
                continue
            self._committed[key] = number
            if key not in self._desired:
                keys.append(key)
        self.last_committed, self._in_flight, self._sent = number, None, {}
        return CommittedBatch(number, keys)
