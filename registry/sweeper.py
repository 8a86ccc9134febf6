"""The sweeper: one router, elected, removes what dead incarnations have left behind.

It takes an incarnation's keys only once the incarnation has been over for a while, in small paced transactions, each of
which compares that this router still leads. Deleting is safe whoever does it: an incarnation's keys carry its epoch, an
epoch never returns, and the table never runs ahead of the store, so an incarnation that is over in the table is over.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from registry.keys import Keys
from registry.model import Incarnation
from registry.ports import RegistrySettings
from registry.routes import RouteTable
from registry.store import Created, Delete, LeaseGone, Put, Store, StoreAway, StoreError
from runtime.process.run_all import run_all

log = logging.getLogger(__name__)

AT_ONCE = 100  # deletes in one transaction
PACE = 0.02  # seconds between two of them: at most 5,000 keys a second
ROUND = 5_000  # keys of one incarnation before the table is asked again
LOOK = 1.0  # the longest time, in seconds, between two looks for incarnations that are over


class SweepSchedule:
    """Core: which incarnations have been over for long enough. Times are seconds on one clock."""

    def __init__(self, after: float) -> None:
        self._after = after
        self._since: dict[Incarnation, float] = {}

    def due(self, over: Iterable[Incarnation], now: float) -> list[Incarnation]:
        """Those of `over` that have been in it for `after` seconds, at every look since."""
        self._since = {incarnation: self._since.get(incarnation, now) for incarnation in over}
        return [incarnation for incarnation, since in self._since.items() if now - since >= self._after]


class _Leadership(NamedTuple):
    lease: int
    revision: int  # create-revision of the leader's key: the fence of every sweep


class _LeadershipLost(Exception):
    """Another router may lead by now."""


class Sweeper:
    """One router's candidate, for ever."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        router_id: str,
        table: RouteTable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.leads = False
        self.swept = 0  # keys deleted so far
        self._store = store
        self._settings = settings
        self._router_id = router_id
        self._table = table
        self._clock = clock
        self._keys = Keys(settings.cluster)

    async def run(self) -> None:
        """Stand for election, lead, sweep; again when deposed. Returns never; when cancelled it gives the lead away."""
        while True:
            try:
                await self._lead(await self._win())
            except StoreAway as error:
                log.info("The sweeper waits: %s", error)
                await self._wait_a_while()

    async def _win(self) -> _Leadership:
        """Wait until nobody leads, then create the leader's key under a lease of our own."""
        while True:
            # Looking first keeps a standing candidate from granting a lease each time.
            if await self._store.get(self._keys.sweeper) is None:
                lease = await self._store.grant(self._settings.ttl)
                put = Put(self._keys.sweeper, self._router_id.encode(), lease)
                outcome = await self._store.transaction([Created(self._keys.sweeper, 0)], [put])
                if outcome.succeeded:
                    return _Leadership(lease, outcome.revision)
                await self._store.revoke(lease)
            await self._wait_a_while()

    async def _wait_a_while(self) -> None:
        await asyncio.sleep(self._settings.ttl / 2)

    async def _lead(self, leadership: _Leadership) -> None:
        log.info("Router %s is the sweeper", self._router_id)
        self.leads = True
        try:
            await run_all(lambda: self._keep(leadership), lambda: self._sweep(leadership))
        except (LeaseGone, _LeadershipLost) as over:
            log.warning("Router %s is the sweeper no more: %s", self._router_id, over)
        finally:
            self.leads = False
            with suppress(StoreError):
                await self._store.revoke(leadership.lease)

    async def _keep(self, leadership: _Leadership) -> None:
        while True:
            with suppress(StoreAway):
                await self._store.keep_alive(leadership.lease)
            await asyncio.sleep(self._settings.ttl / 3)

    async def _sweep(self, leadership: _Leadership) -> None:
        overdue = SweepSchedule(self._settings.sweep_after)
        while True:
            for incarnation in overdue.due(self._table.over(), self._clock()):
                try:
                    await self._remove(incarnation, leadership)
                except StoreAway as error:
                    log.info("Sweeping %s waits: %s", incarnation, error)
            await asyncio.sleep(min(LOOK, max(self._settings.sweep_after / 4, PACE)))

    async def _remove(self, incarnation: Incarnation, leadership: _Leadership) -> None:
        keys = self._table.keys_of(incarnation, ROUND)
        for first in range(0, len(keys), AT_ONCE):
            some = keys[first : first + AT_ONCE]
            fence = Created(self._keys.sweeper, leadership.revision)
            outcome = await self._store.transaction([fence], [Delete(key) for key in some])
            if not outcome.succeeded:
                raise _LeadershipLost(f"{self._keys.sweeper} is another's")
            self.swept += len(some)
            await asyncio.sleep(PACE)
        log.info("Swept %d keys of %s", len(keys), incarnation)
