"""A session ends with its token: 4401 when `exp` and the leeway are over (docs/tokens.md, docs/promises.md, row 32)."""

import time
from collections.abc import Callable

from gateway.close_codes import UNAUTHORIZED
from gateway.sessions.session import Session
from gateway.sessions.timer import Clock, Timer

WIDTH = 1.0  # seconds; how late an end may be
REASON = "token expired"


class TokenExpiry:
    """Every connected session is on its wheel until its token's end; `auth` with a fresh token moves that."""

    def __init__(self, leeway: float, loop: Clock, wall: Callable[[], float] = time.time) -> None:
        """`leeway`: seconds between the issuer's clock and ours. `wall`: seconds since the Unix epoch."""
        self._leeway = leeway
        self._wall = wall
        self._timer = Timer[Session](WIDTH, self._check, loop)

    def start(self, session: Session) -> None:
        """The session is connected."""
        session.expiry_timer = self._timer.schedule_after(session, self._left(session))

    def restart(self, session: Session) -> None:
        """The session has a new identity."""
        self.cancel(session)
        self.start(session)

    def cancel(self, session: Session) -> None:
        """The session is over; one that is not on the wheel is no error."""
        self._timer.cancel(session, session.expiry_timer)

    def close(self) -> None:
        """Expire nothing any more."""
        self._timer.close()

    def _left(self, session: Session) -> float:
        return max(0.0, session.identity.expires + self._leeway - self._wall())

    def _check(self, session: Session, now: float) -> None:
        """Due by the loop's clock; the wall clock, which `exp` means, may have been set back meanwhile."""
        left = self._left(session)
        if left > 0:
            session.expiry_timer = self._timer.schedule(session, now + left)
        elif session.connection is not None:
            session.connection.close(UNAUTHORIZED, REASON)
