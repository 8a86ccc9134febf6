"""Where client events go: the contract of an event bus."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from runtime.process.setting_types import Bytes, Count, NonNegativeSeconds


class Record(msgspec.Struct, frozen=True):
    """One event on its way to the backends: all that a consumer needs to route it stands in the headers."""

    key: str  # file name, else uid: records with the same key keep their order
    headers: Mapping[str, str]
    value: bytes  # the client's bytes, untouched
    on_taken: Callable[[], None] | None = None  # called when the bus has it


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[events]`: what happens to client events on their way to the bus (`[bus]` says which)."""

    name: str = "homing.events"  # The Redis Stream, or the Kafka topic, of client events.
    # Records that a Redis Stream is trimmed to, approximately. A Kafka topic has a retention of its own.
    keep: Count = 1_000_000
    buffer: Count = 10_000  # Records buffered while the bus is unavailable; then clients are answered `busy`.
    buffer_bytes: Bytes = 16 * 1024 * 1024  # Bytes of the values of buffered records; then clients are answered `busy`.
    batch: Count = 500  # Records in one write.
    gather: NonNegativeSeconds = 0.01  # Seconds between the starts of two writes at least.


class EventSink(Protocol):
    """An event bus, at least once, in order per key. It is buffered here, within bounds, while the bus is away."""

    async def open(self) -> None:
        """Before the first record. Raises BusUnavailable when this bus must be there at a start, and is not."""
        ...

    def publish(self, record: Record) -> bool:
        """Take a record, without waiting. False: the buffer is full, nothing was taken; the client must be answered
        `busy`.
        """
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
        """Send what is left (at most 2 s), then let go of the connection. What could not be sent is logged."""
        ...
