"""Snowflake ids: 0 | 41 bits of milliseconds since 2025-01-01T00:00Z | 10 bits of machine | 12 bits of sequence.

An id is unique because three things are: a machine id is leased by one incarnation of one node at a time, the
milliseconds of one holder never go back, and a new holder starts above the *floor* that its predecessor had reserved
(design §4). So what matters here is not the clock but the promise: `SnowflakeGenerator` never leaves [floor, ceiling),
whatever the clock does. When the clock steps back, or a burst takes more than 4,096 ids out of one millisecond, ids go
on in the milliseconds that follow the last one used.
"""

from typing import NamedTuple

EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00Z, in ms since the Unix epoch
MACHINES = 1 << 10
SEQUENCES = 1 << 12
LAST_MS = EPOCH_MS + (1 << 41) - 1
LAST_ID = (1 << 63) - 1


class Exhausted(Exception):
    """No id may be minted now: the reserved milliseconds are used up, or the clock is past them. Reserve more."""


class Parts(NamedTuple):
    """What an id is made of; `ms` counts from the Unix epoch."""

    ms: int
    machine: int
    sequence: int


def join(ms: int, machine: int, sequence: int) -> int:
    """The id of these parts; ValueError when one does not fit its bits."""
    if not (EPOCH_MS <= ms <= LAST_MS and 0 <= machine < MACHINES and 0 <= sequence < SEQUENCES):
        raise ValueError(f"no id has the parts {ms}, {machine}, {sequence}")
    return (ms - EPOCH_MS) << 22 | machine << 12 | sequence


def split(number: int) -> Parts:
    """An id taken apart; ValueError for what cannot be one."""
    if not 0 <= number <= LAST_ID:
        raise ValueError(f"{number} is no 63-bit id")
    return Parts((number >> 22) + EPOCH_MS, machine_of(number), number & SEQUENCES - 1)


def machine_of(number: int) -> int:
    """The machine bits alone: all that routing a connection id needs."""
    return number >> 12 & MACHINES - 1


class SnowflakeGenerator:
    """Makes the ids of one holder of one machine id, each greater than the one before."""

    __slots__ = ("_ceiling", "_ms", "_sequence", "machine")

    def __init__(self, machine: int, floor_ms: int) -> None:
        """`floor_ms`: the first millisecond (Unix) that this holder may use. Nothing is reserved yet."""
        if not 0 <= machine < MACHINES:
            raise ValueError(f"machine id {machine} is not in 0..{MACHINES - 1}")
        self.machine = machine
        self._ms = max(floor_ms, EPOCH_MS)
        self._sequence = 0
        self._ceiling = self._ms

    @property
    def ceiling(self) -> int:
        """Ids exist below this millisecond only."""
        return self._ceiling

    @property
    def position(self) -> int:
        """The millisecond that the next id would at least have."""
        return self._ms

    def reserve(self, ceiling_ms: int) -> None:
        """Raise the ceiling, once the store holds it as this machine id's floor. A lower one changes nothing."""
        self._ceiling = max(self._ceiling, min(ceiling_ms, LAST_MS + 1))

    def ids(self, now_ms: int) -> int:
        """The next id at this wall clock (ms since the Unix epoch). Past the ceiling: Exhausted, nothing changed."""
        if now_ms > self._ms:
            ms, sequence = now_ms, 0
        elif self._sequence < SEQUENCES:
            ms, sequence = self._ms, self._sequence
        else:
            ms, sequence = self._ms + 1, 0
        if ms >= self._ceiling:
            raise Exhausted(f"machine id {self.machine} has no ids reserved at {ms} ms, its ceiling is {self._ceiling}")
        self._ms, self._sequence = ms, sequence + 1
        return (ms - EPOCH_MS) << 22 | self.machine << 12 | sequence
