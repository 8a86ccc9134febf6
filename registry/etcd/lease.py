"""Keeping leases: one keepalive stream, opened once and reused by every lease of this process."""

import asyncio

from registry.etcd.client import GRANT, KEEP_ALIVE, REVOKE, EtcdClient
from registry.etcd.stream import EtcdStream, open_stream
from registry.etcd.v1 import etcd_pb2 as pb
from registry.store import LeaseGone, StoreAway


class Leases:
    """Grant, keep, revoke."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._stream: EtcdStream[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse] | None = None
        self._turn = asyncio.Lock()  # one question on the stream at a time

    async def grant(self, ttl: int) -> int:
        """A new lease. Retried: a lease whose answer was lost has no keys and runs out by itself."""
        got = await self._client.call(GRANT, pb.LeaseGrantRequest(TTL=ttl), pb.LeaseGrantResponse, retry=True)
        return got.ID

    async def revoke(self, lease: int) -> None:
        """End a lease and its keys; an unknown one is no error."""
        try:
            await self._client.call(REVOKE, pb.LeaseRevokeRequest(ID=lease), pb.LeaseRevokeResponse, retry=True)
        except LeaseGone:
            return

    async def keep_alive(self, lease: int) -> None:
        """Renew once and wait for the answer. A broken stream is opened again, once."""
        async with self._turn:
            try:
                await self._ask(lease)
            except StoreAway:
                await self._ask(lease)

    async def _ask(self, lease: int) -> None:
        try:
            async with asyncio.timeout(self._client.settings.timeout):
                left = await self._exchange(lease)
        except TimeoutError:
            self._drop()
            self._client.doubt()
            raise StoreAway(f"etcd at {self._client.where} does not answer keepalives") from None
        except BaseException:
            # An answer that nobody waits for any more must not be taken for the next question's.
            self._drop()
            raise
        if left <= 0:
            raise LeaseGone(f"etcd at {self._client.where}: lease {lease:x} is over")

    async def _exchange(self, lease: int) -> int:
        if self._stream is None:
            self._stream = await open_stream(self._client, KEEP_ALIVE)
        self._stream.write(pb.LeaseKeepAliveRequest(ID=lease))
        return (await self._stream.read()).TTL

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    def close(self) -> None:
        """Let go of the stream."""
        self._drop()
