"""The in-memory twin of the store port: revisions, leases, transactions, watches with history, compaction.

It keeps every guarantee of `registry.store`; one contract suite runs over it and over etcd alike. For tests that need
the registry without a server. One event loop; the clock is injected. With the real clock, leases also expire between
calls, by a timer of the loop.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from registry.store import (
    Change,
    Changes,
    Compacted,
    Compare,
    CreateRevisionEquals,
    Delete,
    Entry,
    FutureRevision,
    Get,
    LeaseNotFound,
    OnOpen,
    Operation,
    Put,
    Snapshot,
    StoreRefused,
    TransactionResult,
    ignore_open,
)

MAX_OPERATIONS = 128


class _MemoryLease:
    """A granted lease and the keys under it."""

    __slots__ = ("deadline", "keys", "ttl")

    def __init__(self, ttl: int, deadline: float) -> None:
        self.ttl = ttl
        self.deadline = deadline
        self.keys: set[str] = set()


class MemoryStore:
    """A linearizable store in one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._revision = 1
        self._compacted = 0
        self._history: list[Change] = []  # in revision order, without those before `_compacted`
        self._before: dict[tuple[str, int], Entry] = {}  # what a change has replaced, by its key and revision
        self._leases: dict[int, _MemoryLease] = {}
        self._last_lease = 0
        self._watchers: set[_Watcher] = set()
        self._timer: asyncio.TimerHandle | None = None

    # The port

    def why_away(self) -> str:
        return ""

    async def get(self, key: str) -> Entry | None:
        self.expire()
        return self._entries.get(key)

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        self.expire()
        entries = self._entries_at(revision) if revision else self._entries
        found = sorted((e for e in entries.values() if e.key.startswith(prefix)), key=lambda e: e.key)
        shown = [e._replace(value=b"") for e in found] if keys_only else found
        return Snapshot(revision or self._revision, shown)

    def _entries_at(self, revision: int) -> dict[str, Entry]:
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} is after {self._revision}")
        if revision < self._compacted:
            raise Compacted(self._compacted)
        entries = dict(self._entries)
        for change in reversed(self._since(revision)):
            before = self._before.get((change.entry.key, change.entry.mod_revision))
            if before is None:
                del entries[change.entry.key]
            else:
                entries[before.key] = before
        return entries

    async def read_pages(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        yield await self.get_prefix(prefix)

    async def revision(self) -> int:
        self.expire()
        return self._revision

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        self.expire()
        for branch in (success, failure):
            self._check(branch)
        succeeded = all(self._is_true(one) for one in compare)
        reads = self._apply(success if succeeded else failure)
        return TransactionResult(succeeded, self._revision, reads)

    async def grant(self, ttl: int) -> int:
        self.expire()
        self._last_lease += 1
        self._leases[self._last_lease] = _MemoryLease(ttl, self._clock() + ttl)
        self._schedule()
        return self._last_lease

    async def revoke(self, lease: int) -> None:
        self.expire()
        self._end_lease(lease)

    async def keep_alive(self, lease: int) -> None:
        self.expire()
        granted = self._leases.get(lease)
        if granted is None:
            raise LeaseNotFound(f"lease {lease:x} is over")
        granted.deadline = self._clock() + granted.ttl

    async def watch_prefix(
        self, prefix: str, start: int, on_open: OnOpen = ignore_open
    ) -> AsyncGenerator[Changes, None]:
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            await on_open()
            reached = start - 1
            while True:
                if reached + 1 < self._compacted:
                    raise Compacted(self._compacted)
                changes = [c for c in self._since(reached) if c.entry.key.startswith(prefix)]
                reached = max(reached, self._revision)
                if changes or watcher.progress_due:
                    watcher.progress_due = False
                    yield Changes(reached, changes)
                else:
                    await watcher.wait()
        finally:
            self._watchers.discard(watcher)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # For tests

    def expire(self) -> None:
        """End every lease that has expired by the clock, as each operation does first."""
        now = self._clock()
        for lease in [number for number, granted in self._leases.items() if granted.deadline <= now]:
            self._end_lease(lease)

    def compact(self, revision: int) -> None:
        """Drop the history before `revision`: a watch may start there or later."""
        self._compacted = max(self._compacted, min(revision, self._revision))
        self._history = [c for c in self._history if c.entry.mod_revision >= self._compacted]
        self._before = {at: entry for at, entry in self._before.items() if at[1] >= self._compacted}

    def report_progress(self) -> None:
        """Yield progress on every running watch, as etcd does from time to time."""
        for watcher in self._watchers:
            watcher.progress_due = True
            watcher.changed.set()

    # Inside

    def _since(self, revision: int) -> list[Change]:
        newest_first = []
        for change in reversed(self._history):
            if change.entry.mod_revision <= revision:
                break
            newest_first.append(change)
        return newest_first[::-1]

    def _check(self, operations: Sequence[Operation]) -> None:
        if len(operations) > MAX_OPERATIONS:
            raise StoreRefused(f"{len(operations)} operations in one transaction, {MAX_OPERATIONS} are allowed")
        written = [one.key for one in operations if not isinstance(one, Get)]
        if len(set(written)) != len(written):
            raise StoreRefused("a transaction may write a key once")

    def _is_true(self, compare: Compare) -> bool:
        entry = self._entries.get(compare.key)
        if isinstance(compare, CreateRevisionEquals):
            return (entry.create_revision if entry is not None else 0) == compare.revision
        return entry is not None and entry.value == compare.value

    def _apply(self, operations: Sequence[Operation]) -> list[list[Entry]]:
        for one in operations:
            if isinstance(one, Put) and one.lease and one.lease not in self._leases:
                raise LeaseNotFound(f"lease {one.lease:x} is over")
        reads: list[list[Entry]] = []
        changes: list[Change] = []
        revision = self._revision + 1
        for one in operations:
            if isinstance(one, Get):
                entry = self._entries.get(one.key)
                reads.append([] if entry is None else [entry])
            elif isinstance(one, Put):
                changes.append(self._put(one, revision))
            elif one.key in self._entries:
                changes.append(self._delete(one, revision))
        self._publish(changes, revision)
        return reads

    def _put(self, put: Put, revision: int) -> Change:
        old = self._entries.get(put.key)
        self._unlease(old)
        if put.lease:
            self._leases[put.lease].keys.add(put.key)
        created = revision if old is None else old.create_revision
        if old is not None:
            self._before[put.key, revision] = old
        entry = self._entries[put.key] = Entry(put.key, put.value, created, revision, put.lease)
        return Change(entry, False)

    def _delete(self, delete: Delete, revision: int) -> Change:
        old = self._before[delete.key, revision] = self._entries.pop(delete.key)
        self._unlease(old)
        return Change(Entry(delete.key, b"", 0, revision), True)

    def _unlease(self, entry: Entry | None) -> None:
        if entry is not None and entry.lease in self._leases:
            self._leases[entry.lease].keys.discard(entry.key)

    def _end_lease(self, lease: int) -> None:
        granted = self._leases.get(lease)
        if granted is not None:
            revision = self._revision + 1
            changes = [self._delete(Delete(key), revision) for key in sorted(granted.keys)]
            del self._leases[lease]
            self._publish(changes, revision)

    def _publish(self, changes: list[Change], revision: int) -> None:
        if changes:
            self._revision = revision
            self._history.extend(changes)
            for watcher in self._watchers:
                watcher.changed.set()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._leases:
            delay = min(granted.deadline for granted in self._leases.values()) - self._clock()
            self._timer = asyncio.get_running_loop().call_later(max(delay, 0.01), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.expire()
        self._schedule()


class _Watcher:
    """A running watch: what its generator waits for."""

    __slots__ = ("changed", "progress_due")

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.progress_due = False

    async def wait(self) -> None:
        await self.changed.wait()
        self.changed.clear()
