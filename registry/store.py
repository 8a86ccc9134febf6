"""The store port: the few operations the registry needs from etcd, and what each promises.

Two implementations stand behind it: `registry.etcd.store.EtcdStore` and the in-memory twin `registry.memory`; one
contract suite (`tests/contract/test_store.py`) runs over both. Everything above (membership, registrar, feed, sweeper)
is written once, over this port. Keys are ASCII strings (users and file names are percent-encoded in `registry.keys`).
"""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One key as it stands in the store."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


class Change(NamedTuple):
    """One key's change, in revision order. `entry.value` is empty and `entry.create_revision` 0 for a delete."""

    entry: Entry
    deleted: bool


class Changes(NamedTuple):
    """What a watch yields: all changes up to and including `revision`. An empty list only moves the revision on."""

    revision: int
    changes: Sequence[Change]


class Snapshot(NamedTuple):
    """Entries as they stood, all at one revision."""

    revision: int
    entries: list[Entry]


class Created(NamedTuple):
    """Compare: the key's create-revision equals this; 0 means that the key is absent."""

    key: str
    revision: int


class Holds(NamedTuple):
    """Compare: the key is there and its value equals this."""

    key: str
    value: bytes


class Put(NamedTuple):
    """Write a key, under a lease unless 0."""

    key: str
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    """Remove a key; removing an absent one is no error."""

    key: str


class Get(NamedTuple):
    """Read a key inside the transaction."""

    key: str


Compare = Created | Holds
Operation = Put | Delete | Get


class TransactionResult(NamedTuple):
    """What a transaction did. `reads` holds one list (of none or one entry) per Get of the branch that ran."""

    succeeded: bool
    revision: int
    reads: list[list[Entry]]


class StoreError(Exception):
    """Something about the store that a caller can act on. The message is for a person."""


class StoreAway(StoreError):
    """No endpoint answered in time. What was asked may or may not have happened."""


class StoreRefused(StoreError):
    """The store answered, and said no (credentials, a bad request): asking again will not help."""


class LeaseGone(StoreError):
    """The lease has run out or was revoked; every key under it is gone."""


class Compacted(StoreError):
    """The history from the asked revision on is gone: take a fresh snapshot and diff. `revision` is the oldest left."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"history before revision {revision} is compacted")
        self.revision = revision


class Store(Protocol):
    """A linearizable key-value store with leases, transactions and a gap-free watch.

    Every call has a deadline of its own (2 s for one attempt) and raises StoreAway past it. Reads and plain revision
    reads are retried inside; a transaction is attempted exactly once, because one whose answer was lost is ambiguous
    and only the caller knows how to resolve it (batches by their guard, everything else by reading back).
    """

    async def get(self, key: str) -> Entry | None:
        """One key, linearizable."""
        ...

    async def get_prefix(self, prefix: str, *, keys_only: bool = False) -> Snapshot:
        """Every key below the prefix, at one revision, in key order. Read in pages, so any size works."""
        ...

    async def revision(self) -> int:
        """The store's current revision, linearizable: everything committed before the call is at or below it."""
        ...

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        """Atomically: if every compare holds run `success`, else `failure`. At most 128 operations; a key once."""
        ...

    async def grant(self, ttl: int) -> int:
        """A new lease of `ttl` seconds; the answer is its id."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and delete every key under it. An unknown lease is no error."""
        ...

    async def keep_alive(self, lease: int) -> None:
        """Renew once. Returns when the store has answered; raises LeaseGone when it no longer knows the lease."""
        ...

    def watch_prefix(self, prefix: str, start: int) -> AsyncGenerator[Changes, None]:
        """Every change below the prefix from revision `start` on, in order, each exactly once, for ever.

        Survives lost connections and lost members without a gap; raises Compacted when history is gone. May yield
        empty Changes when the store says, in order, that it has got further without a change here (progress). There
        is no way to ask for that: etcd before 3.4.25 and 3.5.8 answers such a request ahead of events that it has not
        yet sent (etcd-io/etcd#15220), so an answer would prove nothing. Who needs to know how far a watch is reads
        something whose newest change the watch must show (`registry.feed`). Close the generator when done with it.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
