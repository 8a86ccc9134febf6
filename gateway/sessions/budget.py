"""Core: what one connection may leave unread, and for how long (docs/design.md, "Slow consumers")."""

import msgspec

from runtime.process.setting_types import Bytes, Seconds


class Budget(msgspec.Struct, frozen=True):
    """Past either bound the client is closed with 4408 `slow`."""

    unsent_bytes: Bytes = 256 * 1024  # Bytes that one connection may leave unsent; a push beyond is DROPPED_SLOW.
    stalled_s: Seconds = 10.0  # Seconds in which some of the waiting bytes must reach the client.

    def allows(self, unsent: int, frame: int) -> bool:
        """Whether a frame may still be queued. One that alone is over the budget may go to an empty buffer."""
        return unsent == 0 or unsent + frame <= self.unsent_bytes
