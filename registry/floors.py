"""Floors: the millisecond up to which ids of a machine id may exist (docs/design.md, "Ids").

A machine id outlives its holders, and clocks differ and step; so the store keeps the ids of two holders apart: a holder
makes ids only below the floor that it has reserved, and the next holder starts above that floor. A floor only rises,
also when a reservation whose answer was lost arrives late: each reservation compares with the value that it replaces.
"""

from collections.abc import Callable

from registry.ids import SnowflakeGenerator
from registry.keys import Keys
from registry.membership import FencedError
from registry.model import Incarnation
from registry.ports import RegistryError
from registry.store import CreateRevisionEquals, Entry, Get, Put, Store, ValueEquals

RESERVE_MS = 60_000  # reserved at a time
MAX_DIGITS = 15  # of a floor: ms since the Unix epoch, for 30,000 years
RESERVE_BELOW_MS = 30_000  # reserve more when less than this is left


class IdFloor:
    """The floor of one machine id, for its holder."""

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

    async def start(self) -> SnowflakeGenerator:
        """The generator of a new holder, from max(now, floor + 1), with nothing reserved. StoreUnavailable: retry.

        RegistryError: the floor's value is none.
        """
        self._set_stored(await self._store.get(self._key))
        start = self._wall_ms()
        if self._stored is not None:
            start = max(start, int(self._stored) + 1)
        return SnowflakeGenerator(self._machine, start)

    async def reserve(self, generator: SnowflakeGenerator) -> None:
        """Reserve more ids if few are left.

        FencedError: another incarnation holds the machine id. StoreUnavailable: retry.
        """
        earliest = max(self._wall_ms(), generator.earliest_ms)
        if generator.ceiling - earliest < RESERVE_BELOW_MS:
            await self._raise_floor(generator, earliest + RESERVE_MS)

    async def _raise_floor(self, generator: SnowflakeGenerator, floor: int) -> None:
        stored = self._stored
        unchanged = CreateRevisionEquals(self._key, 0) if stored is None else ValueEquals(self._key, stored)
        outcome = await self._store.transaction(
            [CreateRevisionEquals(self._machine_key, self._incarnation.epoch), unchanged],
            [Put(self._key, b"%d" % floor)],
            [Get(self._machine_key), Get(self._key)],
        )
        if outcome.succeeded:
            self._stored = b"%d" % floor
        else:
            machine, found = outcome.reads
            if not machine or machine[0].create_revision != self._incarnation.epoch:
                raise FencedError(f"machine id {self._machine} is no longer held by {self._incarnation}")
            # An earlier reservation of this holder was applied after all.
            self._set_stored(found[0] if found else None)
        if self._stored is not None:
            generator.raise_ceiling(int(self._stored))

    def _set_stored(self, entry: Entry | None) -> None:
        if entry is not None and not (entry.value.isdigit() and len(entry.value) <= MAX_DIGITS):
            raise RegistryError(f"{self._key} holds {entry.value[:40]!r}, which is no time in ms; delete it")
        self._stored = None if entry is None else entry.value
