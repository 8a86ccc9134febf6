"""The contract of the views of sessions."""

from typing import Protocol

import msgspec

from gateway.sessions.session import Session
from runtime.process.setting_types import Count, NonNegativeSeconds, Seconds


class ViewSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[views]`: the Redis keys `ws:client:<sid>`, `ws:user:clients:<uid>` and `ws:guid:clients:<guid>`."""

    enabled: bool = False  # Whether gateways write the views; `homing up` turns them on.
    ttl: Seconds = 300.0  # Seconds that a view outlives its gateway at most.
    refresh: Seconds = 100.0  # Seconds between two writes of a session that does not change.
    gather: NonNegativeSeconds = 0.1  # Seconds in which changes gather for one write.
    batch: Count = 200  # Sessions in one write.
    # Sessions that have ended and wait for their delete while Redis is unavailable; beyond, their views expire.
    held: Count = 100_000


class Views(Protocol):
    """Is notified of sessions. Nothing here waits or fails; a view that could not be written is written later, or
    expires.
    """

    def changed(self, session: Session) -> None:
        """The session has come, or its files have changed."""
        ...

    def gone(self, session: Session) -> None:
        """The session is gone."""
        ...


class NoViews:
    """Nobody looks."""

    def changed(self, session: Session) -> None:
        """Nothing is kept."""

    def gone(self, session: Session) -> None:
        """Nothing is kept."""


NO_VIEWS = NoViews()
