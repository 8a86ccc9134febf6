"""Shell: whether etcd answers, and when that is logged: when it stops, then once a minute, and when it is back."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

REPEAT = 60.0  # seconds between two warnings


class Availability:
    """Told of every call to etcd; every caller waits or goes on without, and only this says so."""

    def __init__(self, address: str, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._address = address
        self._clock = clock
        self._reason = ""
        self._away_since = 0.0
        self._warned_at: float | None = None
        self._warned = False  # since etcd last answered

    @property
    def why_away(self) -> str:
        """Why etcd does not answer, in words; "" while it does."""
        return self._reason

    def failed(self, reason: str) -> None:
        """A call found no etcd that answers."""
        now = self._clock()
        if not self._reason:
            self._away_since = now
        self._reason = reason
        if self._warned_at is not None and now - self._warned_at < REPEAT:
            return
        away = round(now - self._away_since)
        log.warning("%s%s", reason, f" (for {away} s now)" if away else "", extra={"seconds": away})
        self._warned_at, self._warned = now, True

    def answered(self) -> None:
        """etcd has answered a call."""
        if not self._reason:
            return
        if self._warned:
            away = round(self._clock() - self._away_since)
            log.info("etcd at %s answers again", self._address, extra={"seconds": away})
        self._reason, self._warned = "", False
