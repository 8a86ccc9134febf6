"""Core: what one connection may leave unread, and for how long (design §3, "Slow consumers")."""

import msgspec


class Budget(msgspec.Struct, frozen=True):
    """Past either bound the client is closed with 4408 `slow`."""

    unsent_bytes: int = 256 * 1024  # a push that would pass this is DROPPED_SLOW
    behind_s: float = 10.0  # seconds a client may be behind at all

    def allows(self, unsent: int, frame: int) -> bool:
        """Whether a frame may still be queued. One that alone is over the budget may go to an empty buffer."""
        return unsent == 0 or unsent + frame <= self.unsent_bytes
