"""`StoreRegistration`: one incarnation of one gateway in the registry, over any store, until fenced or ended.

Four tasks run for as long as the incarnation: one keeps the lease and reads the node key; one reserves ids; one commits
batches, one at a time; one watches for writes that have waited too long, which makes the node *unregistered*. Each may
find that the incarnation is over. No heartbeat is written: the lease is the heartbeat.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress

import msgspec

from registry.floors import IdFloor
from registry.guard import BatchGuard
from registry.ids import SnowflakeGenerator
from registry.keys import Keys
from registry.lease_state import LeaseTracker
from registry.membership import FencedError, Member
from registry.model import Node, SessionInfo
from registry.pending import PendingWrites
from registry.ports import RegistrySettings
from registry.retry import Retrier
from registry.store import CreateRevisionEquals, LeaseNotFound, Put, Store, StoreError, StoreUnavailable
from runtime.process.task_group import run_until_first_error

log = logging.getLogger(__name__)

UNREGISTERED_AFTER = 1.0  # seconds that a put may wait for its commit
CHECK_INTERVAL = 0.25  # seconds between two checks of waiting puts, and of the routers' fencing answers
RESERVE_INTERVAL = 1.0  # seconds between two checks of the reserved ids
RETRY_KEEPALIVE = 0.5  # seconds between keepalives at most while the store is unavailable
REVOKE_TIMEOUT = 0.5  # seconds for the end of the lease of an incarnation that is over
FLUSH_TIMEOUT = 2.0  # seconds for the last commits, in `end`, and as many for the end of the lease


class StoreRegistration:
    """The only writer of one incarnation's keys (a `registry.ports.Registration`)."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        member: Member,
        node: Node,
        floor: IdFloor,
        id_generator: SnowflakeGenerator,
        on_unregistered: Callable[[bool], None],
        clock: Callable[[], float],
    ) -> None:
        self.incarnation = member.incarnation
        self.machine = member.machine
        self.id_generator = id_generator
        self.lease = LeaseTracker(settings.ttl, member.lease_sent)
        self._store = store
        self._settings = settings
        self._node = msgspec.structs.replace(node, restoring=False)  # as a drain writes it again
        self._floor = floor
        self._on_unregistered = on_unregistered
        self._clock = clock
        self._keys = Keys(settings.cluster)
        self._node_key = self._keys.node(member.incarnation.node)
        self._guard_key = self._keys.batch(member.incarnation.node)
        self._lease_id = member.lease
        self._guard = BatchGuard(store, self._keys, member)
        self._pending = PendingWrites(clock)
        self._restoring = node.restoring
        self._reported_unregistered = node.restoring
        self._ended = asyncio.Event()

    # The incarnation

    async def run(self) -> None:
        """See the port. Also returns after `end`. StoreRefused: the store no longer accepts this client at all."""
        try:
            await run_until_first_error(
                self._keep_lease, self._reserve_ids, self._commit, self._watch_waiting, self._wait_ended
            )
        except (FencedError, LeaseNotFound) as error:
            log.warning("Incarnation %s is over: %s", self.incarnation, error)
            self._close()
            await self._revoke(REVOKE_TIMEOUT)  # a store that was restored still has our keys, for a whole TTL
        except _Ended:
            return

    async def end(self) -> None:
        """See the port."""
        with suppress(TimeoutError, FencedError, StoreError):
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await self._pending.flush(self._guard.apply)
        self._close()
        await self._revoke(FLUSH_TIMEOUT)

    async def _revoke(self, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._store.revoke(self._lease_id)
        except (StoreError, TimeoutError) as error:
            log.warning("The lease of %s is left to expire: %s", self.incarnation, str(error) or "no answer")

    def _close(self) -> None:
        self.lease.set_fenced()
        self._ended.set()
        self._pending.close()

    async def drain(self) -> None:
        """See the port. A fenced incarnation has no key to mark; its `run` returns."""
        node = msgspec.structs.replace(self._node, draining=True)
        retrier = Retrier(self._settings.ttl, self._clock)
        put = Put(self._node_key, msgspec.json.encode(node), self._lease_id)
        alive = CreateRevisionEquals(self._node_key, self.incarnation.epoch)
        with suppress(LeaseNotFound):
            await retrier(lambda: self._store.transaction([alive], [put]))

    @property
    def last_committed_batch(self) -> int:
        """The number of the newest batch that is known to be committed."""
        return self._pending.last_committed

    def lapsed(self) -> bool:
        """See the port."""
        return self.lease.lapsed(self._clock())

    # Its sessions and files

    def register_session(self, user: str, sid: int, info: SessionInfo) -> "Future[int]":
        """See the port."""
        return self._pending.put(self._keys.session(user, sid, self.incarnation), msgspec.json.encode(info))

    def unregister_session(self, user: str, sid: int) -> None:
        """See the port."""
        self._pending.delete(self._keys.session(user, sid, self.incarnation))

    def register_file(self, file: str) -> "Future[int]":
        """See the port."""
        return self._pending.put_unless_committed(self._keys.file(file, self.incarnation), b"")

    def unregister_file(self, file: str) -> None:
        """See the port."""
        self._pending.delete(self._keys.file(file, self.incarnation))

    def unregistered(self) -> bool:
        """See the port."""
        oldest = self._pending.oldest_put()
        return self._restoring or (oldest is not None and self._clock() - oldest > UNREGISTERED_AFTER)

    def set_restored(self) -> None:
        """See the port."""
        self._restoring = False
        self._report_unregistered()

    # Its tasks

    async def _commit(self) -> None:
        await self._pending.run(self._guard.apply)

    async def _keep_lease(self) -> None:
        while True:
            sent = self._clock()
            pause = self._settings.ttl / 3
            try:
                await self._store.keep_alive(self._lease_id)
                self.lease.on_keepalive(sent)
                entry = await self._store.get(self._node_key)
                if entry is None or entry.create_revision != self.incarnation.epoch:
                    raise FencedError(f"{self._node_key} is gone")
                await self._check_guard()
            except StoreUnavailable as error:
                log.debug("The lease of %s waits: %s", self.incarnation, error)
                pause = min(pause, RETRY_KEEPALIVE)
            await asyncio.sleep(pause)

    async def _check_guard(self) -> None:
        """FencedError: the store has lost batches that it had committed: it was restored from a backup."""
        committed = self._pending.last_committed
        entry = await self._store.get(self._guard_key)
        if entry is None or not entry.value.isdigit() or int(entry.value) < committed:
            raise FencedError(f"{self._guard_key} has lost batches: etcd was restored from a backup")

    async def _reserve_ids(self) -> None:
        while True:
            try:
                await self._floor.reserve(self.id_generator)
            except StoreUnavailable as error:
                log.debug("Ids of machine %d cannot be reserved: %s", self.machine, error)
            await asyncio.sleep(RESERVE_INTERVAL)

    async def _watch_waiting(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            self._report_unregistered()
            if self.lease.fenced:
                raise FencedError("a router has read that the node key is gone")

    def _report_unregistered(self) -> None:
        unregistered = self.unregistered()
        if unregistered != self._reported_unregistered:
            self._reported_unregistered = unregistered
            self._on_unregistered(unregistered)

    async def _wait_ended(self) -> None:
        await self._ended.wait()
        raise _Ended


class _Ended(Exception):
    """`end` was called: the tasks of `run` stop."""
