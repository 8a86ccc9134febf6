"""Finds dead clients with the transport's pings: one timer wheel, no timer per connection.

Every `interval` a connection is pinged; when nothing arrives within `timeout` it is closed with 4408 `heartbeat`
(docs/promises.md, row 54).
"""

import msgspec

from gateway.close_codes import NO_HEARTBEAT
from gateway.sessions.connection import Connection
from gateway.sessions.timer import Clock, Timer
from observability.counters import Counters
from runtime.process.setting_types import Seconds

WIDTH = 0.25  # seconds; how late each step of a heartbeat may be


class HeartbeatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.heartbeat]`: how clients are found dead. Both together stay below a proxy's usual 60 s."""

    interval: Seconds = 25.0  # Seconds between two pings.
    timeout: Seconds = 20.0  # Seconds from a ping until something must have come from the client.


class Heartbeat:
    """Every open connection with a session is on its wheel."""

    def __init__(self, settings: HeartbeatSettings, counters: Counters, loop: Clock) -> None:
        self._settings = settings
        self._counters = counters
        self._loop = loop
        self._timer = Timer[Connection](WIDTH, self._beat, loop)

    def begin(self, connection: Connection) -> None:
        """The connection is open: its first ping comes in one interval."""
        connection.timer = self._timer.schedule(connection, self._loop.time() + self._settings.interval)

    def end(self, connection: Connection) -> None:
        """The connection is gone; one that never began is no error."""
        self._timer.cancel(connection, connection.timer)

    def close(self) -> None:
        self._timer.close()

    def _beat(self, connection: Connection, now: float) -> None:
        if not connection.is_open:
            return
        interval, timeout = self._settings.interval, self._settings.timeout
        if connection.reading_paused or connection.unwritten is not None:  # the latter: `SlowConsumers` judges it
            connection.awaits_pong = connection.pinged = False
            connection.timer = self._timer.schedule(connection, now + interval)
        elif connection.awaits_pong:
            self._counters.heartbeat_closed += 1
            connection.close(NO_HEARTBEAT)
        elif connection.pinged:
            connection.pinged = False
            connection.timer = self._timer.schedule(connection, now + max(0.0, interval - timeout))
        else:
            connection.awaits_pong = connection.pinged = True
            connection.ping()
            connection.timer = self._timer.schedule(connection, now + timeout)
