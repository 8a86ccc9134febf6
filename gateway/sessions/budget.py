"""Core: what one connection may leave unread, and for how long (docs/design.md, "Slow consumers")."""

from typing import Literal

import msgspec

from runtime.process.setting_types import Bytes, Seconds


class Budget(msgspec.Struct, frozen=True):
    """Past either bound the client is closed with 4408 `slow`; past the first one only if the policy is `close`."""

    unsent_bytes: Bytes = 256 * 1024  # Bytes that one connection may leave unsent; a push beyond is DROPPED_SLOW.
    stalled_s: Seconds = 10.0  # Seconds in which some of the waiting bytes must reach the client.
    # After a push that was DROPPED_SLOW: `close` the client, so that it misses nothing unknowingly, or only `drop` the
    # push, where a later one replaces it. A client without any progress is closed either way.
    policy: Literal["close", "drop"] = "close"

    def allows(self, unsent: int, frame: int) -> bool:
        """Whether a frame may still be queued. One that alone is over the budget may go to an empty buffer."""
        return unsent == 0 or unsent + frame <= self.unsent_bytes
