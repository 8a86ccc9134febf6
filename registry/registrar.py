"""`StoreRegistrar`: begins the incarnations of one gateway, over any store (a `registry.ports.Registrar`)."""

import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from registry.floors import IdFloor
from registry.ids import SnowflakeGenerator
from registry.keys import Keys
from registry.membership import Member, Membership
from registry.model import Incarnation, Node
from registry.ports import RegistrySettings
from registry.registration import StoreRegistration
from registry.retry import Retrier
from registry.store import Store, StoreError


def boottime() -> float:
    """Seconds on CLOCK_BOOTTIME, which counts suspended time; on CLOCK_MONOTONIC where there is none."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def wall_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def ignore_unregistered(_: bool) -> None:
    """For a registrar without routers."""


class StoreRegistrar:
    """Grants a lease and creates the keys of the node; each success is a new incarnation."""

    def __init__(
        self,
        store: Store,
        settings: RegistrySettings,
        node_id: str,
        make_node: Callable[[int], Node],
        on_unregistered: Callable[[bool], None] = ignore_unregistered,
        *,
        clock: Callable[[], float] = boottime,
        wall: Callable[[], int] = wall_ms,
    ) -> None:
        """`make_node`: the value of the node's key, from the machine id. `clock`: seconds; `wall`: Unix milliseconds.

        `on_unregistered` is called on the loop whenever `unregistered` of the registration changes.
        """
        self._store = store
        self._settings = settings
        self._node_id = node_id
        self._make_node = make_node
        self._on_unregistered = on_unregistered
        self._clock = clock
        self._wall = wall
        self._last: Incarnation | None = None
        self._generator: SnowflakeGenerator | None = None  # of the last incarnation

    async def begin(self) -> StoreRegistration:
        """See the port."""
        return await self._begin(self._settings, self._make_node)

    async def begin_again(self, machine: int) -> StoreRegistration:
        """See the port."""

        def make_restoring(machine: int) -> Node:
            return msgspec.structs.replace(self._make_node(machine), restoring=True)

        settings = msgspec.structs.replace(self._settings, machine=machine)
        return await self._begin(settings, make_restoring)

    async def _begin(self, settings: RegistrySettings, make_node: Callable[[int], Node]) -> StoreRegistration:
        retrier = Retrier(settings.start_limit, self._clock)
        member = await self._join(settings, make_node, retrier)
        if member.incarnation == self._last:  # only a store that was restored or wiped gives an epoch twice
            await self._store.revoke(member.lease)
            member = await self._join(settings, make_node, retrier)
        self._last = member.incarnation
        floor = IdFloor(self._store, Keys(self._settings.cluster), member.incarnation, member.machine, self._wall)
        try:
            generator = await retrier(floor.start)
            if self._generator is not None and self._generator.machine == member.machine:
                # A store that was wiped or restored has no floor, or an old one, and the sessions have their ids still.
                earliest = max(generator.earliest_ms, self._generator.earliest_ms + 1)
                generator = SnowflakeGenerator(member.machine, earliest)
            await retrier(lambda: floor.reserve(generator))
        except BaseException:  # also when it takes too long: routers would scatter to this key until its lease expires
            with suppress(StoreError):
                await self._store.revoke(member.lease)
            raise
        self._generator = generator
        return StoreRegistration(
            self._store,
            self._settings,
            member,
            make_node(member.machine),
            floor,
            generator,
            self._on_unregistered,
            self._clock,
        )

    async def _join(self, settings: RegistrySettings, make_node: Callable[[int], Node], retrier: Retrier) -> Member:
        return await Membership(self._store, settings, self._node_id, make_node, self._clock).join(retrier)
