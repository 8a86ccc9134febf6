"""Finds dead clients with the transport's pings: one timer wheel, no timer per connection.

A connection is pinged every `interval`; when nothing arrives within `timeout` it is closed with 4408 `heartbeat`
(docs/promises.md, row 54). One that has answered `PROVED` pings is stable and pinged every `interval` x `growth`: so n
connections cost n / (interval x growth) pings a second.

What is known of a client is kept with its connection, and costs nothing per message: the views read it from there.
"""

from typing import Annotated

import msgspec

from gateway.close_codes import NO_HEARTBEAT
from gateway.sessions.connection import Connection
from gateway.sessions.rates import MessageRates
from gateway.sessions.timer import Clock, Timer
from observability.counters import Counters
from runtime.process.setting_types import Seconds

WIDTH = 0.25  # seconds; how late each step of a heartbeat may be
PROVED = 3  # answered pings after which a connection is stable
PROXY_IDLE = 60.0  # seconds without traffic after which proxies cut a connection
MARGIN = 5.0  # seconds of it that the way to the client and back, and the wheel, may take

Growth = Annotated[float, msgspec.Meta(ge=1, le=1000)]


class HeartbeatSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.heartbeat]`: how clients are found dead. `interval` x `growth` stays below a proxy's usual 60 s, or the
    gateway warns when it starts.
    """

    interval: Seconds = 25.0  # Seconds between two pings of a connection.
    timeout: Seconds = 20.0  # Seconds from a ping until something must have come from the client.
    growth: Growth = 2.0  # Times `interval` between two pings of a connection that has answered three.

    def longest(self) -> float:
        """Seconds between two pings at most: what clients are told."""
        return self.interval * self.growth

    def outlasts_proxies(self) -> bool:
        """Whether a proxy may cut a connection between two pings."""
        return self.longest() + MARGIN > PROXY_IDLE


class Heartbeat:
    """Every open connection with a session is on its wheel."""

    def __init__(self, settings: HeartbeatSettings, rates: MessageRates, counters: Counters, loop: Clock) -> None:
        self._settings = settings
        self._rates = rates
        self._counters = counters
        self._loop = loop
        self._timer = Timer[Connection](WIDTH, self._beat, loop)

    def begin(self, connection: Connection) -> None:
        """The connection is open: its first ping comes in one interval."""
        connection.seen_at = self._loop.time()
        connection.timer = self._timer.schedule(connection, connection.seen_at + self._settings.interval)

    def end(self, connection: Connection) -> None:
        """The connection is gone; one that never began is no error."""
        self._timer.cancel(connection, connection.timer)

    def close(self) -> None:
        self._timer.close()

    def _beat(self, connection: Connection, now: float) -> None:
        if not connection.is_open:
            return
        if connection.reading_paused or connection.unwritten is not None:  # the latter: `SlowConsumers` judges it
            self._on_unjudged(connection, now)
        elif connection.awaits_pong:
            self._close(connection)
        elif connection.pinged:
            self._on_answered(connection, now)
        else:
            connection.awaits_pong = connection.pinged = True
            self._counters.pings_sent += connection.ping()
            self._schedule(connection, now + self._settings.timeout)

    def _on_unjudged(self, connection: Connection, now: float) -> None:
        """No sign of life can be seen. A ping would be answered into a buffer that nobody reads; the kernel's keepalive
        costs nothing there (`gateway.door.socket_options`), but its verdict must be looked up."""
        connection.awaits_pong = connection.pinged = False
        if connection.is_lost():
            self._close(connection)
        else:
            self._schedule(connection, now + self._settings.interval)

    def _close(self, connection: Connection) -> None:
        self._counters.heartbeat_closed += 1
        connection.close(NO_HEARTBEAT)

    def _on_answered(self, connection: Connection, now: float) -> None:
        """Something has come since the ping, whenever it was: the client was there when the ping was sent, or later."""
        settings = self._settings
        connection.pinged = False
        connection.seen_at = now - settings.timeout
        self._rates.forget_if_full(connection)
        connection.answered_pings = min(PROVED, connection.answered_pings + 1)
        interval = settings.longest() if connection.answered_pings == PROVED else settings.interval
        self._schedule(connection, now + max(0.0, interval - settings.timeout))

    def _schedule(self, connection: Connection, at: float) -> None:
        connection.timer = self._timer.schedule(connection, at)
