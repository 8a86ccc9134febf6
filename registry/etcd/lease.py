"""Leases in etcd: grant, revoke, and one keepalive stream for all leases of this process."""

import asyncio

from registry.etcd.client import GRANT, KEEP_ALIVE, REVOKE, EtcdClient
from registry.etcd.stream import EtcdStream, open_stream
from registry.etcd.v1 import etcd_pb2 as pb
from registry.store import LeaseNotFound, StoreUnavailable


class LeaseClient:
    """etcd's lease calls. The keepalive stream is opened on first use, and again when it has ended."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._stream: EtcdStream[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse] | None = None
        self._exchanging = asyncio.Lock()  # one request on the stream at a time

    async def grant(self, ttl: int) -> int:
        """Grant a lease. Retried: a lease whose answer was lost has no keys, and expires."""
        response = await self._client.call(GRANT, pb.LeaseGrantRequest(TTL=ttl), pb.LeaseGrantResponse, retry=True)
        return response.ID

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys; an unknown lease is no error."""
        try:
            await self._client.call(REVOKE, pb.LeaseRevokeRequest(ID=lease), pb.LeaseRevokeResponse, retry=True)
        except LeaseNotFound:
            return

    async def keep_alive(self, lease: int) -> None:
        """Renew a lease once. A stream that has ended is opened again, once."""
        async with self._exchanging:
            try:
                try:
                    await self._renew(lease)
                except StoreUnavailable:
                    await self._renew(lease)
            except StoreUnavailable as error:
                self._client.availability.failed(str(error))
                raise
            self._client.availability.answered()

    async def _renew(self, lease: int) -> None:
        try:
            async with asyncio.timeout(self._client.settings.timeout):
                ttl = await self._exchange(lease)
        except TimeoutError:
            self._cancel_stream()
            self._client.switch_endpoint()
            raise StoreUnavailable(f"etcd at {self._client.address} does not answer keepalives") from None
        except BaseException:
            # A late response must not be read as the answer to the next request.
            self._cancel_stream()
            raise
        if ttl <= 0:
            raise LeaseNotFound(f"etcd at {self._client.address}: lease {lease:x} is over")

    async def _exchange(self, lease: int) -> int:
        if self._stream is None:
            self._stream = await open_stream(self._client, KEEP_ALIVE)
        self._stream.write(pb.LeaseKeepAliveRequest(ID=lease))
        return (await self._stream.read()).TTL

    def _cancel_stream(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None

    def close(self) -> None:
        """End the keepalive stream."""
        self._cancel_stream()
