"""The store port: the operations that the registry needs from etcd, and what each guarantees.

Two implementations: `registry.etcd.store.EtcdStore` and the in-memory twin `registry.memory.MemoryStore`. One contract
suite (`tests/contract/test_store.py`) runs over both. Keys are ASCII: users and file names are percent-encoded by
`registry.keys`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One key with its value and revisions."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


class Change(NamedTuple):
    """The change of one key. Of a deleted key, `entry.value` is empty and `entry.create_revision` 0."""

    entry: Entry
    deleted: bool


class Changes(NamedTuple):
    """All changes up to and including `revision`, in revision order. Without changes: progress alone."""

    revision: int
    changes: Sequence[Change]


class Snapshot(NamedTuple):
    """Entries, all at one revision."""

    revision: int
    entries: list[Entry]


class CreateRevisionEquals(NamedTuple):
    """Compare: the key's create-revision is this; 0: the key is absent."""

    key: str
    revision: int


class ValueEquals(NamedTuple):
    """Compare: the key exists, with this value."""

    key: str
    value: bytes


class Put(NamedTuple):
    """Write a key, under a lease unless 0."""

    key: str
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    """Delete a key; an absent key is no error."""

    key: str


class Get(NamedTuple):
    """Read a key inside the transaction."""

    key: str


Compare = CreateRevisionEquals | ValueEquals
Operation = Put | Delete | Get


class TransactionResult(NamedTuple):
    """The result of a transaction. `reads`: for each Get of the branch that ran, a list of one entry or none."""

    succeeded: bool
    revision: int
    reads: list[list[Entry]]


class StoreError(Exception):
    """An error of the store that a caller can act on. The message is for a person."""


class StoreUnavailable(StoreError):
    """No endpoint has answered in time. The operation may or may not have been applied."""


class StoreRefused(StoreError):
    """The store has refused the operation (credentials, a bad request): a retry does not help."""


class LeaseNotFound(StoreError):
    """The lease has expired or was revoked, and every key under it is deleted."""


class Compacted(StoreError):
    """The history from the requested revision on is gone. `revision`: the oldest that is left; 0 when unknown."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"history before revision {revision} is compacted")
        self.revision = revision


class FutureRevision(StoreError):
    """The requested revision does not exist yet. If it was seen before, the store has another history now."""


OnOpen = Callable[[], Awaitable[None]]


async def ignore_open() -> None:
    """For a watch whose opening concerns nobody."""


class Store(Protocol):
    """A linearizable key-value store with leases, transactions and a watch without gaps.

    Every call has a deadline of its own (2 s for one attempt), after which it raises StoreUnavailable. Reads are
    retried inside. A transaction is attempted exactly once: one whose answer was lost is ambiguous, and only the caller
    knows how to resolve it (batches by their guard, everything else by a read).
    """

    async def get(self, key: str) -> Entry | None:
        """One key, linearizable."""
        ...

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        """Every key below the prefix, at one revision, in key order. Read in pages, so any size works.

        `revision`: as it was then; 0: now. Compacted, FutureRevision: only if a revision is given.
        """
        ...

    def read_pages(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        """The same, page by page, all at one revision, so that millions of keys are never held at once.

        Compacted: that revision was compacted before the last page; begin again. Close the generator after use.
        """
        ...

    async def revision(self) -> int:
        """The current revision, linearizable: everything committed before the call is at or below it."""
        ...

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        """Atomically: `success` if every compare is true, else `failure`. At most 128 operations, each key once."""
        ...

    async def grant(self, ttl: int) -> int:
        """Grant a lease of `ttl` seconds. The result is its id."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and delete every key under it. An unknown lease is no error."""
        ...

    async def keep_alive(self, lease: int) -> None:
        """Renew a lease once. Returns when the store has answered. LeaseNotFound: the lease is over."""
        ...

    def watch_prefix(self, prefix: str, start: int, on_open: OnOpen = ignore_open) -> AsyncGenerator[Changes, None]:
        """Every change below the prefix from revision `start` on, in order, each exactly once, for ever.

        A lost connection or member makes no gap. Compacted: the history from `start` is gone. Changes without a change
        report progress, in order. Progress cannot be requested: etcd before 3.4.25 and 3.5.8 answers such a request
        ahead of events that it has not sent yet (etcd-io/etcd#15220), so the answer would prove nothing.
        `registry.feed` instead waits for a change that the watch must show. Close the generator after use.

        `on_open`: awaited each time that the store has opened the watch, before anything from that opening is yielded.
        StoreUnavailable of it opens the watch again; any other exception ends it.
        """
        ...

    def why_away(self) -> str:
        """Why the store does not answer, in words that name it and the remedy; "" while it does, or before any call."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
