"""`StoreRegistrar`: one incarnation of one gateway, from `begin` to fenced or `end`, over any store.

Four things run for as long as the incarnation does, and each may find that it is over: the lease is kept, and with it
the node key is looked at; ids are reserved ahead; batches are committed one at a time; and whoever waits for a commit
too long makes the node *unregistered*, which its routers must know. Nothing here writes a heartbeat: the lease is the
heartbeat.
"""

import asyncio
import logging
import time
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress

import msgspec

from registry.floors import IdFloor
from registry.guard import BatchGuard
from registry.ids import SnowflakeGenerator
from registry.keys import Keys
from registry.lapse import LeaseTracker
from registry.membership import Fenced, Member, Membership
from registry.model import Incarnation, Node, SessionInfo
from registry.pending import PendingWrites
from registry.ports import RegistrySettings
from registry.retry import Retrier
from registry.store import Created, LeaseGone, Put, Store, StoreAway, StoreError
from runtime.process.run_all import run_all

log = logging.getLogger(__name__)

LATE = 1.0  # seconds after which a waiting put makes the node unregistered
LOOK = 0.25  # seconds between two looks at who waits, and at what the routers have said
TEND = 1.0  # seconds between two looks at the reserved ids
FLUSH = 2.0  # seconds that `end` gives what is still wanted


def boottime() -> float:
    """Seconds on CLOCK_BOOTTIME, which also counts suspended time; CLOCK_MONOTONIC where there is none."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def wall_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class StoreRegistrar:
    """The only writer of one incarnation's keys. A new incarnation is a new object."""

    incarnation: Incarnation
    machine: int
    ids: SnowflakeGenerator
    lapse: LeaseTracker

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        node_id: str,
        node: Callable[[int], Node],
        *,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], int] = wall_ms,
    ) -> None:
        """`node` makes the node's value, given the machine id that it gets."""
        self.on_unregistered: Callable[[bool], None] = _ignore  # told, on the loop, whenever `unregistered` turns
        self._store = store
        self._settings = settings
        self._node_id = node_id
        self._node = node
        self._clock = clock
        self._wall = wall
        self._keys = Keys(settings.cluster)
        self._pending = PendingWrites(clock)
        self._told_unregistered = False
        self._ended = asyncio.Event()
        self._lease = 0

    # An incarnation

    async def begin(self) -> Incarnation:
        """See the port."""
        patience = Retrier(self._settings.start_limit, self._clock)
        join = Membership(self._store, self._settings, self._node_id, self._node, self._clock).join
        member = await join(patience)
        self._take(member)
        self._floor = IdFloor(self._store, self._keys, member.incarnation, member.machine, self._wall)
        self.ids = await patience(self._floor.first)
        await patience(lambda: self._floor.tend(self.ids))
        return self.incarnation

    def _take(self, member: Member) -> None:
        self.incarnation, self.machine, self._lease = member.incarnation, member.machine, member.lease
        self.lapse = LeaseTracker(self._settings.ttl, member.sent)
        self._node_key = self._keys.node(self._node_id)
        self._guard = BatchGuard(self._store, self._keys, member)

    async def run(self) -> None:
        """See the port. Also returns after `end`. StoreRefused when the store no longer takes us at all."""
        try:
            await run_all(self._keep_lease, self._reserve_ids, self._commit, self._watch_waiting, self._until_ended)
        except (Fenced, LeaseGone) as over:
            log.warning("Incarnation %s is over: %s", self.incarnation, over)
            self._finish()
        except _Ended:
            return

    async def end(self) -> None:
        """See the port. Nothing to do when `begin` has not succeeded."""
        if not self._lease:
            return
        with suppress(TimeoutError, Fenced, StoreError):
            async with asyncio.timeout(FLUSH):
                await self._pending.flush(self._guard.apply)
        self._finish()
        try:
            await self._store.revoke(self._lease)
        except StoreError as error:
            log.warning("The lease of %s is left to run out: %s", self.incarnation, error)

    def _finish(self) -> None:
        self.lapse.fence()
        self._ended.set()
        self._pending.close()

    async def drain(self) -> None:
        """See the port. Fenced: nothing to mark, `run` will say so."""
        node = msgspec.structs.replace(self._node(self.machine), draining=True)
        patience = Retrier(self._settings.ttl, self._clock)
        put = Put(self._node_key, msgspec.json.encode(node), self._lease)
        with suppress(LeaseGone):
            await patience(lambda: self._store.transaction([Created(self._node_key, self.incarnation.epoch)], [put]))

    @property
    def batches(self) -> int:
        """The number of the newest batch that is known to be committed."""
        return self._pending.number

    # What happened

    def register_session(self, user: str, sid: int, info: SessionInfo) -> "Future[int]":
        """See the port. Cancelled if the session leaves first."""
        return self._pending.put(self._keys.session(user, sid, self.incarnation), msgspec.json.encode(info))

    def unregister_session(self, user: str, sid: int) -> None:
        """See the port."""
        self._pending.remove(self._keys.session(user, sid, self.incarnation))

    def register_file(self, file: str) -> "Future[int]":
        """See the port. Cancelled if the file is left first."""
        return self._pending.put_once(self._keys.file(file, self.incarnation), b"")

    def unregister_file(self, file: str) -> None:
        """See the port."""
        self._pending.remove(self._keys.file(file, self.incarnation))

    def lapsed(self) -> bool:
        """See the port. `lapse` has the rest: what the routers have answered."""
        return self.lapse.lapsed(self._clock())

    def unregistered(self) -> bool:
        """See the port."""
        since = self._pending.waits_since()
        return since is not None and self._clock() - since > LATE

    # What else an incarnation needs

    async def _commit(self) -> None:
        await self._pending.commit(self._guard.apply)

    async def _keep_lease(self) -> None:
        while True:
            sent = self._clock()
            pause = self._settings.ttl / 3
            try:
                await self._store.keep_alive(self._lease)
                self.lapse.kept(sent)
                entry = await self._store.get(self._node_key)
                if entry is None or entry.create_revision != self.incarnation.epoch:
                    raise Fenced(f"{self._node_key} is gone")
            except StoreAway as error:
                log.info("The lease of %s waits: %s", self.incarnation, error)
                pause = min(pause, 0.5)
            await asyncio.sleep(pause)

    async def _reserve_ids(self) -> None:
        while True:
            try:
                await self._floor.tend(self.ids)
            except StoreAway as error:
                log.info("Ids of machine %d cannot be reserved: %s", self.machine, error)
            await asyncio.sleep(TEND)

    async def _watch_waiting(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self._tell_unregistered()
            if self.lapse.fenced:
                raise Fenced("a router has read that its node key is gone")

    def _tell_unregistered(self) -> None:
        now = self.unregistered()
        if now != self._told_unregistered:
            self._told_unregistered = now
            self.on_unregistered(now)

    async def _until_ended(self) -> None:
        await self._ended.wait()
        raise _Ended


class _Ended(Exception):
    """`end` was called: stop running."""


def _ignore(_: bool) -> None:
    """Nobody wants to know."""
