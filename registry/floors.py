"""Floors: up to which millisecond ids of a machine id may exist.

A machine id outlives its holders, and clocks differ and step, so what keeps two holders' ids apart is in the store: a
holder mints only below the floor it has reserved, and the next one starts above that (design §4). The floor may only
rise, also when a reservation whose answer was lost arrives late: so each one compares with the value that it raises.
"""

from collections.abc import Callable

from registry.ids import SnowflakeGenerator
from registry.keys import Keys
from registry.membership import Fenced
from registry.model import Incarnation
from registry.store import Created, Entry, Get, Holds, Put, Store

AHEAD_MS = 60_000  # reserved at a time
NEAR_MS = 30_000  # when less is left, reserve more


class IdFloor:
    """The reservation of one holder of one machine id."""

    def __init__(
        self, store: Store, keys: Keys, incarnation: Incarnation, machine: int, wall_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._key = keys.floor(machine)
        self._machine_key = keys.machine(machine)
        self._incarnation = incarnation
        self._machine = machine
        self._wall_ms = wall_ms
        self._stored: bytes | None = None

    async def first(self) -> SnowflakeGenerator:
        """The mint of a new holder: from max(now, floor + 1) on, with nothing reserved yet. StoreAway: call again."""
        self._take(await self._store.get(self._key))
        start = self._wall_ms()
        if self._stored is not None:
            start = max(start, int(self._stored) + 1)
        return SnowflakeGenerator(self._machine, start)

    async def tend(self, ids: SnowflakeGenerator) -> None:
        """Reserve more if little is left. Fenced when the machine id is no longer ours; StoreAway: call again."""
        position = max(self._wall_ms(), ids.position)
        if ids.ceiling - position < NEAR_MS:
            await self._reserve(ids, position + AHEAD_MS)

    async def _reserve(self, ids: SnowflakeGenerator, ceiling: int) -> None:
        unchanged = Created(self._key, 0) if self._stored is None else Holds(self._key, self._stored)
        outcome = await self._store.transaction(
            [Created(self._machine_key, self._incarnation.epoch), unchanged],
            [Put(self._key, b"%d" % ceiling)],
            [Get(self._machine_key), Get(self._key)],
        )
        if outcome.succeeded:
            self._stored = b"%d" % ceiling
        else:
            holder, floor = outcome.reads
            if not holder or holder[0].create_revision != self._incarnation.epoch:
                raise Fenced(f"machine id {self._machine} is no longer held by {self._incarnation}")
            # An earlier reservation of ours was applied after all.
            self._take(floor[0] if floor else None)
        if self._stored is not None:
            ids.reserve(int(self._stored))

    def _take(self, entry: Entry | None) -> None:
        self._stored = None if entry is None else entry.value
