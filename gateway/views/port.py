"""What the gateway tells its views: the contract."""

from typing import Protocol

import msgspec

from gateway.sessions.session import Session


class ViewSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[views]`: the Redis keys `ws:client:<sid>`, `ws:user:clients:<uid>` and `ws:guid:clients:<guid>`."""

    enabled: bool = False  # `homing up` turns them on
    ttl: float = 300.0  # seconds that a view outlives its gateway at most
    refresh: float = 100.0  # seconds between two writings of a session that does not change
    gather: float = 0.1  # seconds in which changes gather
    batch: int = 200  # sessions in one write
    held: int = 100_000  # sessions that have left and are not deleted yet, while Redis is away; then they expire


class Views(Protocol):
    """Hears of sessions. Nothing here waits or fails; a view that could not be written is written later, or expires."""

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
