"""`StoreRegistrar`: one life of one gateway, from `begin` to fenced or `end`, over any store.

Four things run for as long as the life does, and each may find that it is over: the lease is kept, and with it the node
key is looked at; ids are reserved ahead; batches are committed one at a time; and whoever waits for a commit too long
makes the node *unregistered*, which its routers must know. Nothing here writes a heartbeat: the lease is the heartbeat.
"""

import asyncio
import logging
import time
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress

import msgspec

from registry.floors import Floor
from registry.guard import Guard
from registry.ids import Mint
from registry.keys import Keys
from registry.lapse import Lapse
from registry.membership import Fenced, Member, Membership
from registry.model import Life, Node, SessionInfo
from registry.pending import Pending
from registry.ports import RegistrySettings
from registry.retry import Patience
from registry.store import Created, LeaseGone, Put, Store, StoreAway, StoreError
from runtime.process.run_all import together

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
    """The only writer of one life's keys. A new life is a new object."""

    life: Life
    machine: int
    mint: Mint
    lapse: Lapse

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
        self._pending = Pending(clock)
        self._told_unregistered = False
        self._ended = asyncio.Event()
        self._lease = 0

    # A life

    async def begin(self) -> Life:
        """See the port."""
        patience = Patience(self._settings.start_limit, self._clock)
        join = Membership(self._store, self._settings, self._node_id, self._node, self._clock).join
        member = await join(patience)
        self._take(member)
        self._floor = Floor(self._store, self._keys, member.life, member.machine, self._wall)
        self.mint = await patience(self._floor.first)
        await patience(lambda: self._floor.tend(self.mint))
        return self.life

    def _take(self, member: Member) -> None:
        self.life, self.machine, self._lease = member.life, member.machine, member.lease
        self.lapse = Lapse(self._settings.ttl, member.sent)
        self._node_key = self._keys.node(self._node_id)
        self._guard = Guard(self._store, self._keys, member)

    async def run(self) -> None:
        """See the port. Also returns after `end`. StoreRefused when the store no longer takes us at all."""
        try:
            await together(self._keep_lease, self._reserve_ids, self._commit, self._watch_waiting, self._until_ended)
        except (Fenced, LeaseGone) as over:
            log.warning("Life %s is over: %s", self.life, over)
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
            log.warning("The lease of %s is left to run out: %s", self.life, error)

    def _finish(self) -> None:
        self.lapse.fence()
        self._ended.set()
        self._pending.close()

    async def drain(self) -> None:
        """See the port. Fenced: nothing to mark, `run` will say so."""
        node = msgspec.structs.replace(self._node(self.machine), draining=True)
        patience = Patience(self._settings.ttl, self._clock)
        put = Put(self._node_key, msgspec.json.encode(node), self._lease)
        with suppress(LeaseGone):
            await patience(lambda: self._store.transaction([Created(self._node_key, self.life.epoch)], [put]))

    @property
    def batches(self) -> int:
        """The number of the newest batch that is known to be committed."""
        return self._pending.number

    # What happened

    def session_came(self, user: str, sid: int, info: SessionInfo) -> "Future[int]":
        """See the port. Cancelled if the session leaves first."""
        return self._pending.put(self._keys.session(user, sid, self.life), msgspec.json.encode(info))

    def session_left(self, user: str, sid: int) -> None:
        """See the port."""
        self._pending.remove(self._keys.session(user, sid, self.life))

    def file_joined(self, guid: str) -> "Future[int]":
        """See the port. Cancelled if the file is left first."""
        return self._pending.put_once(self._keys.file(guid, self.life), b"")

    def file_left(self, guid: str) -> None:
        """See the port."""
        self._pending.remove(self._keys.file(guid, self.life))

    def lapsed(self) -> bool:
        """See the port. `lapse` has the rest: what the routers have answered."""
        return self.lapse.lapsed(self._clock())

    def unregistered(self) -> bool:
        """See the port."""
        since = self._pending.waits_since()
        return since is not None and self._clock() - since > LATE

    # What else a life needs

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
                if entry is None or entry.create_revision != self.life.epoch:
                    raise Fenced(f"{self._node_key} is gone")
            except StoreAway as error:
                log.info("The lease of %s waits: %s", self.life, error)
                pause = min(pause, 0.5)
            await asyncio.sleep(pause)

    async def _reserve_ids(self) -> None:
        while True:
            try:
                await self._floor.tend(self.mint)
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
