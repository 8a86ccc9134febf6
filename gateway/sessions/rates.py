"""Core: how many messages and bytes a second one connection may send (docs/protocol.md, "Limits").

A token bucket for each: it fills at the rate, holds the burst, and every message takes one token and as many as it has
bytes, inflated. So in t seconds a connection may send at most burst + rate x t, however it spreads them. The buckets
are made with the first message, and given up at a heartbeat that finds them full: an idle connection costs one slot.

Two things are not the client's fault and are not counted: an ack that the gateway has requested is given back, and
while the gateway itself reads nothing (the event buffer is full) the buckets go on filling, past their burst.
"""

from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec

from runtime.process.setting_types import Bytes, Count

Rate = Annotated[int, msgspec.Meta(ge=0, le=1_099_511_627_776)]  # a second
ConnectionCount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.limits]`: how fast one client may send, and how many there may be. 0 is no limit."""

    messages_per_second: Rate = 500  # Messages that one connection may send in a second, in the long run.
    messages_burst: Count = 1000  # Messages that it may send at once after a rest.
    bytes_per_second: Rate = 1_000_000  # Bytes of messages, inflated, that one connection may send in a second.
    # Bytes that it may send at once after a rest; one message of [gateway] max_message is always allowed.
    bytes_burst: Bytes = 4_000_000
    # Connections that one client address may have here at once; of IPv6, one network of 64 bits. Beyond: 429.
    connections_per_address: ConnectionCount = 0


class Bucket:
    """What one connection may send now."""

    __slots__ = ("at", "bytes", "messages")

    def __init__(self, messages: float, size: float, at: float) -> None:
        self.messages = messages
        self.bytes = size
        self.at = at  # when the other two were right


class Sender(Protocol):
    """A connection, as far as it is limited."""

    bucket: Bucket | None  # None: it may send all that a full one holds


class MessageRates:
    """Limits every connection of a node. `clock`: seconds, monotonic."""

    def __init__(self, settings: LimitSettings, max_message: int, clock: Callable[[], float]) -> None:
        """`max_message`: bytes of the largest message, which must fit."""
        self._message_rate = settings.messages_per_second
        self._byte_rate = settings.bytes_per_second
        self._message_burst = float(settings.messages_burst if self._message_rate else "inf")
        self._byte_burst = float(max(settings.bytes_burst, max_message) if self._byte_rate else "inf")
        self._clock = clock

    def take(self, sender: Sender, size: int) -> bool:
        """Count one message of so many bytes. False: it is too many, or too much. One that is larger than the burst
        (it was discarded) counts as the burst, so that a client which has rested is never refused.

        The hot path, hence without further calls. What a bucket holds past its burst (`resume`) stays until it is used.
        """
        now, bucket = self._clock(), sender.bucket
        if bucket is None:
            bucket = sender.bucket = Bucket(self._message_burst, self._byte_burst, now)
        passed = now - bucket.at
        messages, left, burst = bucket.messages, bucket.bytes, self._byte_burst
        if messages < self._message_burst:
            messages += passed * self._message_rate
            if messages > self._message_burst:
                messages = self._message_burst
        if left < burst:
            left += passed * self._byte_rate
            if left > burst:
                left = burst
        bucket.at = now
        bucket.messages = messages = messages - 1
        bucket.bytes = left = left - (size if size < burst else burst)
        return messages >= 0 and left >= 0

    def give_back(self, sender: Sender) -> None:
        """The message that was just counted was requested: its bytes count, it does not."""
        if sender.bucket is not None:
            sender.bucket.messages += 1

    def forget_if_full(self, sender: Sender) -> None:
        """A full bucket is as good as none, and costs more."""
        bucket = sender.bucket
        if bucket is None:
            return
        passed = self._clock() - bucket.at
        if (
            bucket.messages + passed * self._message_rate >= self._message_burst
            and bucket.bytes + passed * self._byte_rate >= self._byte_burst
        ):
            sender.bucket = None

    def resume(self, sender: Sender) -> None:
        """Since its last message nothing was read from this connection: what it has sent meanwhile comes at once."""
        bucket = sender.bucket
        if bucket is not None:
            passed, bucket.at = self._clock() - bucket.at, self._clock()
            bucket.messages += passed * self._message_rate
            bucket.bytes += passed * self._byte_rate
