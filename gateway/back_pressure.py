"""Back-pressure, both ways: clients that are not read while the event bus is full, and clients that do not read."""

from gateway.close_codes import SLOW
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection
from gateway.sessions.rates import MessageRates
from gateway.sessions.session import Session, SessionConnection
from gateway.sessions.timer import Deadlines
from gateway.wire.values import Messages
from observability.counters import Counters
from runtime.events.port import EventSink
from runtime.process.background_tasks import BackgroundTasks


class EventBackPressure:
    """Pauses reading from clients whose events the full buffer has refused, until there is room again."""

    def __init__(self, sink: EventSink, tasks: BackgroundTasks, rates: MessageRates) -> None:
        self._sink = sink
        self._tasks = tasks
        self._rates = rates
        self._paused: set[Connection] = set()

    def full(self) -> bool:
        """Whether the buffer takes nothing now."""
        return self._sink.full()

    def pause(self, connection: Connection) -> None:
        """Read no more from this client until the buffer has room."""
        if not connection.is_open:
            return
        connection.pause_reading()
        if not self._paused:
            self._tasks.start(self._resume_when_there_is_room())
        self._paused.add(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        self._paused.discard(connection)

    async def _resume_when_there_is_room(self) -> None:
        await self._sink.wait_room()
        paused, self._paused = self._paused, set()
        for connection in paused:
            self._rates.resume(connection)
            connection.resume_reading()


class SlowConsumers:
    """Closes clients that do not read, or not fast enough (docs/design.md, "Slow consumers").

    A connection is slow when it is over its byte budget (`Connection.write`), or when nothing of what waits for it has
    left within `stalled_s`. Progress is what the client's TCP has acknowledged: a slow but steady reader stays. With
    the policy `drop` only the second closes, because such a client may be half-open; and an answer that does not fit,
    because whoever waits for one would wait for ever.
    """

    def __init__(self, budget: Budget, deadlines: Deadlines, counters: Counters) -> None:
        self._budget = budget
        self._deadlines = deadlines
        self._counters = counters

    def on_dropped(self, session: Session) -> None:
        """A push to this session was over the budget and is DROPPED_SLOW."""
        if self._budget.policy == "close" and session.connection is not None:
            self._close(session.connection)

    def send_or_close(self, connection: SessionConnection, messages: Messages) -> bool:
        """Send an answer. False: it does not fit into the budget, and the client is closed for that."""
        if connection.send(messages):
            return True
        self._close(connection)
        return False

    def watch(self, connection: Connection) -> None:
        """The connection is blocked: close it with 4408 when nothing leaves any more."""
        unwritten, acknowledged = connection.unwritten, connection.acknowledged()

        def check(_now: float) -> None:
            nonlocal acknowledged
            if connection.unwritten is not unwritten:
                return
            before, acknowledged = acknowledged, connection.acknowledged()
            if acknowledged > before:
                self._deadlines.schedule_after(check, self._budget.stalled_s)
            elif connection.is_open:
                self._close(connection)

        self._deadlines.schedule_after(check, self._budget.stalled_s)

    def _close(self, connection: SessionConnection) -> None:
        self._counters.slow_closed += 1
        connection.close(SLOW)
