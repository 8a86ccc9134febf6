"""Snowflake ids: 0 | 41 bits of milliseconds since 2025-01-01T00:00Z | 10 bits of machine id | 12 bits of sequence.

Ids are unique because a machine id is leased by one incarnation at a time, because the milliseconds of one holder never
go back, and because a new holder starts above the *floor* that its predecessor had reserved (docs/design.md, "Ids"). A
generator stays within [floor, ceiling) whatever the clock does: after a step back, or after 4,096 ids in one
millisecond, ids continue in the milliseconds that follow the last one used.
"""

from typing import NamedTuple

EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00Z, in ms since the Unix epoch
MACHINE_IDS = 1 << 10
SEQUENCES = 1 << 12  # ids of one machine id in one millisecond
MAX_MS = EPOCH_MS + (1 << 41) - 1
MAX_ID = (1 << 63) - 1


class IdsExhausted(Exception):
    """No id can be made now: the reserved milliseconds are used up, or the clock is past them."""


class SnowflakeParts(NamedTuple):
    """The parts of an id; `ms` since the Unix epoch."""

    ms: int
    machine: int
    sequence: int


def join(ms: int, machine: int, sequence: int) -> int:
    """The id of these parts. ValueError when a part does not fit its bits."""
    if not (EPOCH_MS <= ms <= MAX_MS and 0 <= machine < MACHINE_IDS and 0 <= sequence < SEQUENCES):
        raise ValueError(f"no id has the parts {ms}, {machine}, {sequence}")
    return (ms - EPOCH_MS) << 22 | machine << 12 | sequence


def split(number: int) -> SnowflakeParts:
    """The parts of an id. ValueError when the number is no 63-bit id."""
    if not 0 <= number <= MAX_ID:
        raise ValueError(f"{number} is no 63-bit id")
    return SnowflakeParts((number >> 22) + EPOCH_MS, machine_id_of(number), number & SEQUENCES - 1)


def machine_id_of(number: int) -> int:
    """The machine id alone."""
    return number >> 12 & MACHINE_IDS - 1


class SnowflakeGenerator:
    """The ids of one holder of one machine id, each greater than the one before."""

    __slots__ = ("_ceiling", "_ms", "_sequence", "machine")

    def __init__(self, machine: int, floor_ms: int) -> None:
        """`floor_ms`: the first millisecond (Unix) that this holder may use. Nothing is reserved yet."""
        if not 0 <= machine < MACHINE_IDS:
            raise ValueError(f"machine id {machine} is not in 0..{MACHINE_IDS - 1}")
        self.machine = machine
        self._ms = max(floor_ms, EPOCH_MS)
        self._sequence = 0
        self._ceiling = self._ms

    @property
    def ceiling(self) -> int:
        """All ids are below this millisecond."""
        return self._ceiling

    @property
    def earliest_ms(self) -> int:
        """The earliest millisecond that the next id can have."""
        return self._ms

    def raise_ceiling(self, ceiling_ms: int) -> None:
        """Use ids below `ceiling_ms`, which the store holds as this machine id's floor. A lower one changes nothing."""
        self._ceiling = max(self._ceiling, min(ceiling_ms, MAX_MS + 1))

    def next_id(self, now_ms: int) -> int:
        """The next id. `now_ms`: the wall clock, since the Unix epoch. IdsExhausted above the ceiling."""
        if now_ms > self._ms:
            ms, sequence = now_ms, 0
        elif self._sequence < SEQUENCES:
            ms, sequence = self._ms, self._sequence
        else:
            ms, sequence = self._ms + 1, 0
        if ms >= self._ceiling:
            raise IdsExhausted(f"machine id {self.machine} has ids reserved below {self._ceiling} ms, not at {ms} ms")
        self._ms, self._sequence = ms, sequence + 1
        return (ms - EPOCH_MS) << 22 | self.machine << 12 | sequence
