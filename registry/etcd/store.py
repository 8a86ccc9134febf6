"""`EtcdStore`: the store port on etcd."""

from collections.abc import AsyncGenerator, Sequence

from registry.etcd.client import COMPACT, RANGE, TXN, EtcdClient, EtcdSettings
from registry.etcd.lease import Leases
from registry.etcd.v1 import etcd_pb2 as pb
from registry.etcd.watch import watch_prefix
from registry.store import (
    Changes,
    Compacted,
    Compare,
    Created,
    Delete,
    Entry,
    Operation,
    Put,
    Snapshot,
    StoreAway,
    TransactionResult,
)

PAGE = 5_000  # keys in one answer of a prefix read: about a megabyte
SNAPSHOTS = 3  # how often a paged read is begun anew because its revision was compacted meanwhile


class EtcdStore:
    """The registry's store, on a real etcd."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._client = EtcdClient(settings)
        self._leases = Leases(self._client)

    async def get(self, key: str) -> Entry | None:
        got = await self._client.call(RANGE, pb.RangeRequest(key=key.encode()), pb.RangeResponse, retry=True)
        return _entry(got.kvs[0]) if got.kvs else None

    async def get_prefix(self, prefix: str, *, keys_only: bool = False) -> Snapshot:
        for _ in range(SNAPSHOTS):
            try:
                return await self._pages(prefix, keys_only)
            except Compacted:
                continue
        raise StoreAway(f"etcd at {self._client.where} compacts faster than {prefix} can be read")

    async def _pages(self, prefix: str, keys_only: bool) -> Snapshot:
        entries: list[Entry] = []
        first, end, revision = _first(prefix), _end(prefix), 0
        while True:
            request = pb.RangeRequest(key=first, range_end=end, limit=PAGE, revision=revision, keys_only=keys_only)
            got = await self._client.call(RANGE, request, pb.RangeResponse, retry=True)
            revision = revision or got.header.revision
            entries.extend(map(_entry, got.kvs))
            if not got.more:
                return Snapshot(revision, entries)
            first = got.kvs[-1].key + b"\0"

    async def revision(self) -> int:
        # Any linearizable read tells it; an absent key keeps the answer small.
        request = pb.RangeRequest(key=b"\0", count_only=True)
        return (await self._client.call(RANGE, request, pb.RangeResponse, retry=True)).header.revision

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        request = pb.TxnRequest(
            compare=map(_compare, compare), success=map(_operation, success), failure=map(_operation, failure)
        )
        got = await self._client.call(TXN, request, pb.TxnResponse, retry=False)
        reads = [
            [_entry(kv) for kv in one.response_range.kvs]
            for one in got.responses
            if one.WhichOneof("response") == "response_range"
        ]
        return TransactionResult(got.succeeded, got.header.revision, reads)

    async def grant(self, ttl: int) -> int:
        return await self._leases.grant(ttl)

    async def revoke(self, lease: int) -> None:
        await self._leases.revoke(lease)

    async def keep_alive(self, lease: int) -> None:
        await self._leases.keep_alive(lease)

    def watch_prefix(self, prefix: str, start: int) -> AsyncGenerator[Changes, None]:
        return watch_prefix(self._client, _first(prefix), _end(prefix), start)

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`. Beyond the port: tests and tools use it; servers compact by themselves."""
        request = pb.CompactionRequest(revision=revision, physical=True)
        await self._client.call(COMPACT, request, pb.CompactionResponse, retry=False)

    async def close(self) -> None:
        self._leases.close()
        self._client.close()


def _first(prefix: str) -> bytes:
    return prefix.encode() or b"\0"


def _end(prefix: str) -> bytes:
    """The first key after all keys with this prefix; prefixes are ASCII, so the last byte can always be raised."""
    raw = prefix.encode()
    return raw[:-1] + bytes([raw[-1] + 1]) if raw else b"\0"


def _entry(kv: pb.KeyValue) -> Entry:
    return Entry(kv.key.decode(), kv.value, kv.create_revision, kv.mod_revision, kv.lease)


def _compare(compare: Compare) -> pb.Compare:
    key = compare.key.encode()
    if isinstance(compare, Created):
        return pb.Compare(key=key, target=pb.Compare.CREATE, create_revision=compare.revision)
    return pb.Compare(key=key, target=pb.Compare.VALUE, value=compare.value)


def _operation(one: Operation) -> pb.RequestOp:
    key = one.key.encode()
    if isinstance(one, Put):
        return pb.RequestOp(request_put=pb.PutRequest(key=key, value=one.value, lease=one.lease))
    if isinstance(one, Delete):
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))
