"""Back-pressure, both ways: clients that are not read while the event bus is full, and clients that do not read."""

from gateway.close_codes import SLOW
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection
from gateway.sessions.timer import Deadlines
from runtime.events.port import EventSink
from runtime.process.background_tasks import BackgroundTasks


class EventBackPressure:
    """Pauses reading from clients whose events the full buffer has refused, until there is room again."""

    def __init__(self, sink: EventSink, tasks: BackgroundTasks) -> None:
        self._sink = sink
        self._tasks = tasks
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
            connection.resume_reading()


class SlowConsumers:
    """Closes clients to which nothing has left for too long (docs/design.md, "Slow consumers").

    A connection is slow when it is over its byte budget (`Connection.write`), or when nothing of what waits for it has
    left within `stalled_s`. Progress is what the client's TCP has acknowledged: a slow but steady reader stays.
    """

    def __init__(self, budget: Budget, deadlines: Deadlines) -> None:
        self._budget = budget
        self._deadlines = deadlines

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
            else:
                connection.close(SLOW)

        self._deadlines.schedule_after(check, self._budget.stalled_s)
