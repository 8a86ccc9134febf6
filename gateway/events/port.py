"""Where client events go: the contract of an event bus."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec


class Record(msgspec.Struct, frozen=True):
    """One event on its way to the backends: all that a consumer needs to route it stands in the headers."""

    key: str  # file name, else uid: records with the same key keep their order
    headers: Mapping[str, str]
    value: bytes  # the client's bytes, untouched
    on_taken: Callable[[], None] | None = None  # hears that the bus has it


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[events]`: what happens to client events on their way to the bus (`[bus]` says which)."""

    name: str = "homing.events"  # the stream, or the topic
    keep: int = 1_000_000  # records a Redis Stream is trimmed to, about; Kafka's topics have their own retention
    buffer: int = 10_000  # records held while the bus is away; then clients hear `busy`
    buffer_bytes: int = 16 * 1024 * 1024  # of their values
    batch: int = 500  # records in one write
    gather: float = 0.01  # seconds between the beginnings of two writes at least


class EventSink(Protocol):
    """An event bus, at least once, in order per key. It is buffered here, within bounds, while the bus is away."""

    async def open(self) -> None:
        """Before the first record. Raises BusAway when this bus must be there at a start, and is not."""
        ...

    def publish(self, record: Record) -> bool:
        """Take a record, without waiting. False: the buffer is full, nothing was taken; the client must hear `busy`."""
        ...

    def publish_own(self, record: Record) -> None:
        """Take a record of the gateway's own (connect, disconnect, join, leave), which nobody could be asked to repeat.

        These may pass the bound; so while the buffer is `full` no new client may come, and there are at most a few per
        session that is here.
        """
        ...

    def held(self) -> int:
        """Records that the bus does not have yet."""
        ...

    def full(self) -> bool:
        """Whether `publish` would refuse even an empty record."""
        ...

    async def wait_room(self) -> None:
        """Until `publish` would take a record again."""
        ...

    async def run(self) -> None:
        """Send what was taken, for ever; retries while the bus is away."""
        ...

    async def close(self) -> None:
        """Send what is left (at most 2 s), then let go of the connection. Says in the log what could not be sent."""
        ...
