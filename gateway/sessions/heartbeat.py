"""Finds dead clients with WebSocket pings: one wheel, no timer per connection.

Every `interval` a session is pinged; without any sign of life within `timeout` it is closed with 4408 `heartbeat`
(reliability.md row 54).
"""

import msgspec

from gateway.close_codes import NO_HEARTBEAT
from gateway.sessions.session import Session
from gateway.sessions.timer import Clock, Timer
from observability.counters import Counters

WIDTH = 0.25  # seconds; how late each step of a heartbeat may be


class HeartbeatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often clients are asked, and how long they may take. Together under a proxy's usual 60 s."""

    interval: float = 25.0  # seconds between pings
    timeout: float = 20.0  # seconds a client may take to answer


class Heartbeat:
    """Every open session is on its wheel."""

    def __init__(self, settings: HeartbeatSettings, counters: Counters, loop: Clock) -> None:
        self._settings = settings
        self._counters = counters
        self._loop = loop
        self._timer = Timer[Session](WIDTH, self._beat, loop)

    def begin(self, session: Session) -> None:
        """The session is open: its first ping comes in one interval."""
        session.ticket = self._timer.schedule(session, self._loop.time() + self._settings.interval)

    def end(self, session: Session) -> None:
        """The session is gone."""
        self._timer.cancel(session, session.ticket)

    def close(self) -> None:
        self._timer.close()

    def _beat(self, session: Session, now: float) -> None:
        connection = session.connection
        if connection is None:
            return
        interval, timeout = self._settings.interval, self._settings.timeout
        if session.paused:
            session.asked = session.pinged = False
            session.ticket = self._timer.schedule(session, now + interval)
        elif session.asked:
            self._counters.heartbeat_closed += 1
            session.close(NO_HEARTBEAT.code, NO_HEARTBEAT.reason)
        elif session.pinged:
            session.pinged = False
            session.ticket = self._timer.schedule(session, now + max(0.0, interval - timeout))
        else:
            session.asked = session.pinged = True
            connection.ping()
            session.ticket = self._timer.schedule(session, now + timeout)
