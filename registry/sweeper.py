"""Shell: the sweeper: one elected router deletes the keys of ended incarnations (docs/design.md, "Sweeping").

It deletes an incarnation's keys only once the incarnation has been over for `sweep_after`, in small paced transactions,
each of which compares that this router is still the leader, and that the node's key is as the table has it. Deleting is
safe by itself: an incarnation's keys carry its epoch, an epoch never returns, and the table never runs ahead of the
store, so what has ended in the table has ended; unless the store was restored, and the table does not know it yet.
The sessions of a transaction are first told to `on_lost`, unless another incarnation goes on with them; so when this
router dies midway, the next leader tells those that are left, and at most one transaction's twice.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from registry.keys import Keys
from registry.model import Incarnation, SessionRoute
from registry.ports import RegistrySettings
from registry.routes import RouteTable
from registry.store import (
    CreateRevisionEquals,
    Delete,
    Entry,
    Get,
    LeaseNotFound,
    Put,
    Store,
    StoreError,
    StoreUnavailable,
)
from runtime.process.task_group import run_until_first_error

log = logging.getLogger(__name__)

DELETES = 100  # in one transaction
PAUSE = 0.02  # seconds between two transactions: at most 5,000 keys a second
KEYS_AT_ONCE = 5_000  # of one incarnation, before the table is read again
MAX_INTERVAL = 1.0  # seconds between two checks of the table at most


OnLost = Callable[[Sequence[SessionRoute]], Awaitable[None]]


async def ignore_lost(_sessions: Sequence[SessionRoute]) -> None:
    """For a sweeper that nobody listens to."""


class SweepSchedule:
    """Core: which incarnations ended long enough ago. Times are seconds on one clock."""

    def __init__(self, after: float) -> None:
        self._after = after
        self._since: dict[Incarnation, float] = {}

    def due(self, ended: Iterable[Incarnation], now: float) -> list[Incarnation]:
        """Those of `ended` that were in it at every call of the last `after` seconds."""
        self._since = {incarnation: self._since.get(incarnation, now) for incarnation in ended}
        return [incarnation for incarnation, since in self._since.items() if now - since >= self._after]


class _Leadership(NamedTuple):
    lease: int
    revision: int  # create-revision of the leader's key: the fence of every sweep


class _LeadershipLost(Exception):
    """Another router may be the leader."""


class Sweeper:
    """One router's candidate for the election, and the sweeper while it is the leader."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        router_id: str,
        table: RouteTable,
        clock: Callable[[], float] = time.monotonic,
        on_lost: OnLost = ignore_lost,
    ) -> None:
        """`clock`: seconds. `on_lost`: returns when the sessions' ends are published."""
        self._on_lost = on_lost
        self.is_leader = False
        self.keys_deleted = 0
        self._store = store
        self._settings = settings
        self._router_id = router_id
        self._table = table
        self._clock = clock
        self._keys = Keys(settings.cluster)

    async def run(self) -> None:
        """Campaign, lead, sweep; campaign again when deposed. For ever; a cancelled leader resigns."""
        while True:
            try:
                await self._lead(await self._campaign())
            except StoreUnavailable as error:
                log.debug("The sweeper waits: %s", error)
                await self._wait_retry()

    async def _campaign(self) -> _Leadership:
        """Wait until there is no leader, then create the leader's key under a lease of this router."""
        while True:
            # The read spares a candidate that waits a lease at each attempt.
            if await self._store.get(self._keys.sweeper) is None:
                lease = await self._store.grant(self._settings.ttl)
                put = Put(self._keys.sweeper, self._router_id.encode(), lease)
                outcome = await self._store.transaction([CreateRevisionEquals(self._keys.sweeper, 0)], [put])
                if outcome.succeeded:
                    return _Leadership(lease, outcome.revision)
                await self._store.revoke(lease)
            await self._wait_retry()

    async def _wait_retry(self) -> None:
        await asyncio.sleep(self._settings.ttl / 2)

    async def _lead(self, leadership: _Leadership) -> None:
        log.info("Router %s is the sweeper", self._router_id)
        self.is_leader = True
        try:
            await run_until_first_error(lambda: self._keep_lease(leadership), lambda: self._sweep(leadership))
        except (LeaseNotFound, _LeadershipLost) as error:
            log.warning("Router %s is no longer the sweeper: %s", self._router_id, error)
        finally:
            self.is_leader = False
            with suppress(StoreError):
                await self._store.revoke(leadership.lease)

    async def _keep_lease(self, leadership: _Leadership) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self._store.keep_alive(leadership.lease)
            await asyncio.sleep(self._settings.ttl / 3)

    async def _sweep(self, leadership: _Leadership) -> None:
        schedule = SweepSchedule(self._settings.sweep_after)
        while True:
            for incarnation in schedule.due(self._table.ended(), self._clock()):
                try:
                    await self._delete_keys(incarnation, leadership)
                except StoreUnavailable as error:
                    log.debug("The sweep of %s waits: %s", incarnation, error)
            await asyncio.sleep(min(MAX_INTERVAL, max(self._settings.sweep_after / 4, PAUSE)))

    async def _delete_keys(self, incarnation: Incarnation, leadership: _Leadership) -> None:
        keys = self._table.keys_of(incarnation, KEYS_AT_ONCE)
        for first in range(0, len(keys), DELETES):
            swept = keys[first : first + DELETES]
            await self._on_lost([route for _, route in swept if route is not None])
            deletes = [Delete(key) for key, _ in swept]
            still_leader = CreateRevisionEquals(self._keys.sweeper, leadership.revision)
            outcome = await self._store.transaction(
                [still_leader, self._ended(incarnation)], deletes, [Get(self._keys.sweeper)]
            )
            if not outcome.succeeded:
                self._check_leader(outcome.reads[0], leadership)
                return  # the table is behind
            self.keys_deleted += len(deletes)
            await asyncio.sleep(PAUSE)
        log.info("Swept %d keys of %s", len(keys), incarnation)

    def _ended(self, incarnation: Incarnation) -> CreateRevisionEquals:
        """True while the store has the node's key as the table has it."""
        return CreateRevisionEquals(self._keys.node(incarnation.node), self._table.epochs().get(incarnation.node, 0))

    def _check_leader(self, found: Sequence[Entry], leadership: _Leadership) -> None:
        if not found or found[0].create_revision != leadership.revision:
            raise _LeadershipLost(f"{self._keys.sweeper} is another router's")
