"""`EtcdStore`: the store port on etcd."""

from collections.abc import AsyncGenerator, Sequence

from registry.etcd.client import COMPACT, RANGE, TXN, EtcdClient, EtcdSettings
from registry.etcd.lease import LeaseClient
from registry.etcd.v1 import etcd_pb2 as pb
from registry.etcd.watch import to_text, watch_prefix
from registry.store import (
    Changes,
    Compacted,
    Compare,
    CreateRevisionEquals,
    Delete,
    Entry,
    OnOpen,
    Operation,
    Put,
    Snapshot,
    StoreUnavailable,
    TransactionResult,
    ignore_open,
)

PAGE_SIZE = 10_000  # keys in one response of a prefix read: about 2 MB. etcd counts all that follow for each response
SLICE = 1_000  # keys of a response that are read at once
SNAPSHOT_ATTEMPTS = 3  # of a paged read whose revision is compacted before the last page


class EtcdStore:
    """See `registry.store.Store`."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._client = EtcdClient(settings)
        self._leases = LeaseClient(self._client)

    async def get(self, key: str) -> Entry | None:
        response = await self._client.call(RANGE, pb.RangeRequest(key=key.encode()), pb.RangeResponse, retry=True)
        return _entry(response.kvs[0]) if response.kvs else None

    async def get_prefix(self, prefix: str, *, keys_only: bool = False, revision: int = 0) -> Snapshot:
        if revision:
            return await self._read_all(prefix, keys_only, revision)
        for _ in range(SNAPSHOT_ATTEMPTS):
            try:
                return await self._read_all(prefix, keys_only)
            except Compacted:
                continue
        raise StoreUnavailable(f"etcd at {self._client.address} compacts faster than {prefix} can be read")

    async def _read_all(self, prefix: str, keys_only: bool, revision: int = 0) -> Snapshot:
        entries: list[Entry] = []
        async for page in self.read_pages(prefix, keys_only=keys_only, revision=revision):
            revision = page.revision
            entries += page.entries
        return Snapshot(revision, entries)

    async def read_pages(
        self, prefix: str, *, keys_only: bool = False, revision: int = 0
    ) -> AsyncGenerator[Snapshot, None]:
        first, end = _first_key(prefix), _end_key(prefix)
        while True:
            request = pb.RangeRequest(key=first, range_end=end, limit=PAGE_SIZE, revision=revision, keys_only=keys_only)
            response = await self._client.call(RANGE, request, pb.RangeResponse, retry=True)
            revision = revision or response.header.revision
            for start in range(0, len(response.kvs) or 1, SLICE):
                yield Snapshot(revision, [_entry(kv) for kv in response.kvs[start : start + SLICE]])
            if not response.more:
                return
            first = response.kvs[-1].key + b"\0"

    async def revision(self) -> int:
        # The header of any linearizable read has the revision; a key that does not exist makes it the smallest one.
        request = pb.RangeRequest(key=b"\0", count_only=True)
        return (await self._client.call(RANGE, request, pb.RangeResponse, retry=True)).header.revision

    async def transaction(
        self, compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation] = ()
    ) -> TransactionResult:
        request = pb.TxnRequest(
            compare=map(_compare, compare), success=map(_operation, success), failure=map(_operation, failure)
        )
        response = await self._client.call(TXN, request, pb.TxnResponse, retry=False)
        reads = [
            [_entry(kv) for kv in one.response_range.kvs]
            for one in response.responses
            if one.WhichOneof("response") == "response_range"
        ]
        return TransactionResult(response.succeeded, response.header.revision, reads)

    async def grant(self, ttl: int) -> int:
        return await self._leases.grant(ttl)

    async def revoke(self, lease: int) -> None:
        await self._leases.revoke(lease)

    async def keep_alive(self, lease: int) -> None:
        await self._leases.keep_alive(lease)

    def watch_prefix(self, prefix: str, start: int, on_open: OnOpen = ignore_open) -> AsyncGenerator[Changes, None]:
        return watch_prefix(self._client, _first_key(prefix), _end_key(prefix), start, on_open)

    async def compact(self, revision: int) -> None:
        """Drop the history before `revision`. Not in the port: for tests and tools, since etcd compacts by itself."""
        request = pb.CompactionRequest(revision=revision, physical=True)
        await self._client.call(COMPACT, request, pb.CompactionResponse, retry=False)

    def why_away(self) -> str:
        """Why etcd does not answer, in words; "" while it does."""
        return self._client.availability.why_away

    async def close(self) -> None:
        self._leases.close()
        self._client.close()


def _first_key(prefix: str) -> bytes:
    return prefix.encode() or b"\0"


def _end_key(prefix: str) -> bytes:
    """The first key after all keys with this prefix. The last byte of a prefix is ASCII, and so can be incremented."""
    raw = prefix.encode()
    return raw[:-1] + bytes([raw[-1] + 1]) if raw else b"\0"


def _entry(kv: pb.KeyValue) -> Entry:
    return Entry(to_text(kv.key), kv.value, kv.create_revision, kv.mod_revision, kv.lease)


def _compare(compare: Compare) -> pb.Compare:
    key = compare.key.encode()
    if isinstance(compare, CreateRevisionEquals):
        return pb.Compare(key=key, target=pb.Compare.CREATE, create_revision=compare.revision)
    return pb.Compare(key=key, target=pb.Compare.VALUE, value=compare.value)


def _operation(one: Operation) -> pb.RequestOp:
    key = one.key.encode()
    if isinstance(one, Put):
        return pb.RequestOp(request_put=pb.PutRequest(key=key, value=one.value, lease=one.lease))
    if isinstance(one, Delete):
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))
