"""An etcd in virtual time: the in-memory twin of the store port, with etcd's latency, its queue and its counters.

Calls wait for each other as in an etcd that has one core: each takes its *serial* time of it, in order of arrival.
Bytes are those of etcd's own messages (`etcd_network_client_grpc_*_bytes_total`), which are built and measured.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from itertools import groupby

from bench.scale.fleet_load import EtcdCosts
from registry.etcd.v1 import etcd_pb2 as pb
from registry.memory import MemoryStore
from registry.store import (
    Change,
    Changes,
    Compare,
    CreateRevisionEquals,
    Delete,
    Entry,
    OnOpen,
    Operation,
    Put,
    Snapshot,
    TransactionResult,
    ignore_open,
)

HEADER = pb.ResponseHeader(cluster_id=2**63, member_id=2**63, revision=100_000, raft_term=2)
HEADER_BYTES = HEADER.ByteSize() + 2
OPERATION_BYTES = 10  # of the answer to one operation of a transaction: a header that has the revision alone
KEEPALIVE_BYTES = 11, HEADER_BYTES + 12  # request, response: a lease's id has nine bytes


class ModelledEtcd:
    """The server. `counts`: since the start, under the names of `bench.scale.agreement.MEASURES`."""

    def __init__(self, store: MemoryStore, costs: EtcdCosts) -> None:
        self.store = store
        self.counts: Counter[str] = Counter()
        self.busy = 0.0  # seconds of serial time
        self._costs = costs
        self._free_at = 0.0

    async def wait(self, latency: float, serial: float) -> None:
        """Until a call of this latency has its turn in the queue, and is over."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        begins = max(now, self._free_at)
        self._free_at = begins + serial
        self.busy += serial
        await wait_until(begins + max(latency, serial))

    async def read(self) -> None:
        """A read of some keys."""
        self.counts["reads"] += 1
        await self.wait(self._costs.read, min(self._costs.read, self._costs.serial_transaction))

    async def write(self, keys: int) -> None:
        """A transaction of so many keys."""
        costs = self._costs
        serial = costs.serial_transaction + keys * costs.serial_key
        await self.wait(costs.transaction + keys * costs.key, serial)

    async def renew(self) -> None:
        """The keepalive of a lease, which the leader answers by itself."""
        await self.wait(self._costs.read, 0.0)

    async def wait_watch(self) -> None:
        """For what a router's watch is behind."""
        await wait_until(asyncio.get_running_loop().time() + self._costs.watch)


async def wait_until(when: float) -> None:
    """Until then, exactly: what arrives from another process is no timer, and so not late as timers are."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    loop.call_at(when, _arrive, arrived)
    await arrived


def _arrive(arrived: "asyncio.Future[None]") -> None:
    if not arrived.done():
        arrived.set_result(None)


class ModelledStore:
    """One process's client (a `registry.store.Store`)."""

    def __init__(self, etcd: ModelledEtcd) -> None:
        self._etcd = etcd
        self._store = etcd.store
        self._counts = etcd.counts

    def why_away(self) -> str:
        """See the port."""
        return ""

    async def get(self, key: str) -> Entry | None:
        """See the port."""
        await self._etcd.read()
        entry = await self._store.get(key)
        self._count_read(pb.RangeRequest(key=key.encode()), [] if entry is None else [entry])
        return entry

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        """See the port."""
        await self._etcd.read()
        snapshot = await self._store.get_prefix(prefix, keys_only=keys_only, revision=revision)
        name = prefix.encode()
        request = pb.RangeRequest(key=name, range_end=name, limit=10_000, keys_only=keys_only)
        self._count_read(request, snapshot.entries)
        return snapshot

    async def read_pages(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        """See the port."""
        yield await self.get_prefix(prefix)

    async def revision(self) -> int:
        """See the port."""
        await self._etcd.read()
        return await self._store.revision()

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        """See the port. It is applied when its latency is over: the way of the answer is not modelled apart."""
        counts = self._counts
        counts["transactions"] += 1
        counts["bytes_received"] += transaction_bytes(compare, success, failure)
        counts["bytes_sent"] += HEADER_BYTES + 2 + OPERATION_BYTES * len(success)
        await self._etcd.write(len(success))
        before = await self._store.revision()
        result = await self._store.transaction(compare, success, failure)
        counts["revisions"] += result.revision - before
        if result.succeeded:
            counts["keys_put"] += sum(isinstance(one, Put) for one in success)
            counts["keys_deleted"] += sum(isinstance(one, Delete) for one in success)
        return result

    async def grant(self, ttl: int) -> int:
        """See the port."""
        await self._etcd.write(0)
        return await self._store.grant(ttl)

    async def revoke(self, lease: int) -> None:
        """See the port."""
        await self._etcd.write(0)
        await self._store.revoke(lease)

    async def keep_alive(self, lease: int) -> None:
        """See the port."""
        self._counts["keepalives"] += 1
        self._counts["bytes_received"] += KEEPALIVE_BYTES[0]
        self._counts["bytes_sent"] += KEEPALIVE_BYTES[1]
        await self._etcd.renew()
        await self._store.keep_alive(lease)

    async def watch_prefix(
        self, prefix: str, start: int, on_open: OnOpen = ignore_open
    ) -> AsyncGenerator[Changes, None]:
        """See the port. Each revision is a message of its own, as of an etcd whose watcher is not behind."""
        async for shown in self._store.watch_prefix(prefix, start, on_open):
            await self._etcd.wait_watch()
            for revision, changes in groupby(shown.changes, lambda change: change.entry.mod_revision):
                message = list(changes)
                self._counts["watch_messages"] += 1
                self._counts["watch_events"] += len(message)
                size = watch_bytes(message)
                self._counts["bytes_sent"] += size
                self._counts["watch_bytes"] += size
                yield Changes(revision, message)

    async def close(self) -> None:
        """See the port."""

    def _count_read(self, request: pb.RangeRequest, entries: Sequence[Entry]) -> None:
        self._counts["bytes_received"] += request.ByteSize()
        self._counts["bytes_sent"] += HEADER_BYTES + sum(_key_value(entry).ByteSize() + 2 for entry in entries)


def transaction_bytes(compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation]) -> int:
    """Of the request, as `registry.etcd.store` builds it."""
    request = pb.TxnRequest(success=map(_operation, success), failure=map(_operation, failure))
    for one in compare:
        if isinstance(one, CreateRevisionEquals):
            target = pb.Compare.CREATE
            request.compare.add(key=one.key.encode(), target=target, create_revision=one.revision)
        else:
            request.compare.add(key=one.key.encode(), target=pb.Compare.VALUE, value=one.value)
    return request.ByteSize()


def watch_bytes(changes: Sequence[Change]) -> int:
    """Of one message of a watch."""
    events = [
        pb.Event(type=pb.Event.DELETE if deleted else pb.Event.PUT, kv=_key_value(entry)) for entry, deleted in changes
    ]
    return HEADER_BYTES + pb.WatchResponse(events=events).ByteSize()


def _operation(one: Operation) -> pb.RequestOp:
    key = one.key.encode()
    if isinstance(one, Put):
        return pb.RequestOp(request_put=pb.PutRequest(key=key, value=one.value, lease=one.lease))
    if isinstance(one, Delete):
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


def _key_value(entry: Entry) -> pb.KeyValue:
    return pb.KeyValue(
        key=entry.key.encode(),
        value=entry.value,
        create_revision=entry.create_revision,
        mod_revision=entry.mod_revision,
        version=1,
        lease=entry.lease and 2**62,
    )
