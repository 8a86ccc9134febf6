"""Broadcast delivery: each push is published once, and every gateway looks whether it has receivers (design §6).

What gathers while one publish is under way leaves as the next message, as on a hop. No route is looked up, so nothing
can be stale, nothing is healed and no push waits for another: order per target holds because the bus keeps a
publisher's order and each gateway handles in order. Gateways tell what became of a push on the stream that the router
has to them anyway (`router.delivery.progress` says when a report is complete).
"""

import asyncio
import logging
import time
from collections import deque

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability.counters import Counters
from observability.tracing import OFF, Tracer
from registry.model import Incarnation
from registry.ports import RouteFeed
from router.delivery.awaiting import report_of
from router.delivery.message import message
from router.delivery.plan import Leg
from router.delivery.port import Done
from router.delivery.progress import BroadcastProgress, Published
from router.delivery.report import ReportBuilder
from router.delivery.trace import PushTrace, told_to_nodes
from router.hop.fleet import Fleet
from router.hop.stream import HopSettings
from router.push import CallRefused, CheckedPush, bad
from runtime.bus.port import BusAway, Publisher, TooLarge
from runtime.process.tasks import Tasks

log = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024  # of one message; a push that is larger goes alone
LIMIT = 5.0  # seconds beyond its ack_timeout in which a push must be complete
LOOK = 0.25  # seconds between two looks for pushes past their limit


class Flight(Published):
    """One push from its call to its report."""

    __slots__ = ("done", "ended", "received_ns", "trace")

    def __init__(self, push: CheckedPush, received_ns: int, done: Done, due: float) -> None:
        super().__init__(push, ReportBuilder(push), due)
        self.received_ns = received_ns
        self.done = done
        self.ended = False
        self.trace: PushTrace | None = None  # None: not sampled

    def end(self, result: router_pb2.PushReport | CallRefused) -> None:
        """Tell what became of it, once."""
        if self.ended:
            return
        self.ended = True
        if self.trace is not None:
            self.trace.landed(result)
        self.done(result)


class Broadcast:
    """A `Delivery` over the bus. `router`: how this process says hello on its streams; no other ever had that name."""

    def __init__(
        self,
        router: str,
        publisher: Publisher,
        feed: RouteFeed,
        fleet: Fleet,
        settings: HopSettings,
        counters: Counters,
        tracer: Tracer = OFF,
    ) -> None:
        self.tracer = tracer
        self._router = router
        self._publisher = publisher
        self._feed = feed
        self._fleet = fleet
        self._settings = settings
        self._counters = counters
        self._waiting: deque[Flight] = deque()  # not with the bus yet
        self._waiting_bytes = 0
        self._batch_bytes = BATCH_BYTES
        self._progress = BroadcastProgress(self._complete, self._count_unreachable)
        self._tasks = Tasks()
        self._publishing = False
        self._loop = asyncio.get_running_loop()
        self._look: asyncio.TimerHandle | None = None
        self._away = False
        fleet.on_handled = self._progress.on_handled
        fleet.listeners.add(self._nodes_changed)

    def start(self, push: CheckedPush, received_ns: int, done: Done) -> None:
        self._counters.pushes += 1
        flight = Flight(push, received_ns, done, self._loop.time() + LIMIT + push.ack_timeout)
        context = self.tracer.begin(push.traceparent)
        if context is not None:
            flight.trace = PushTrace(self.tracer, context, push, received_ns)
            flight.report.trace_id = context.trace_id
        if not self._room(push.size):
            self._counters.pushes_refused += 1
            flight.end(
                CallRefused("RESOURCE_EXHAUSTED", "the queue to the bus is full; nothing was sent", retry_after=0.1)
            )
            return
        self._waiting.append(flight)
        self._waiting_bytes += push.size
        if not self._publishing:
            self._publishing = True
            self._tasks.start(self._publish_all())
        if self._look is None:
            self._look = self._loop.call_later(LOOK, self._give_up_late_ones)

    async def push(self, push: CheckedPush, received_ns: int) -> router_pb2.PushReport:
        return await report_of(self, push, received_ns)

    async def close(self) -> None:
        await self._tasks.close()
        if self._look is not None:
            self._look.cancel()
        while self._waiting:
            flight = self._waiting.popleft()
            flight.end(CallRefused("UNAVAILABLE", "this router is stopping; nothing was sent", retry_after=0.1))
        self._progress.give_up(self._progress)

    def _room(self, size: int) -> bool:
        settings = self._settings
        held = len(self._waiting) + len(self._progress)
        return held < settings.queue and self._waiting_bytes + size <= settings.queue_bytes

    def _nodes_changed(self) -> None:
        heard: list[Incarnation] = []
        silent: list[Incarnation] = []
        table = self._feed.table
        for incarnation in (*table.incarnations(), *table.lingering()):
            hop = self._fleet.hop(incarnation)
            (heard if hop is not None and hop.reachable else silent).append(incarnation)
        self._progress.nodes_are(heard, silent)

    # To the bus -----------------------------------------------------------------------------------------------------

    async def _publish_all(self) -> None:
        try:
            while self._waiting:
                await self._publish(self._take_batch())
        finally:
            self._publishing = False

    def _take_batch(self) -> list[Flight]:
        batch: list[Flight] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0].push.size <= self._batch_bytes):
            flight = self._waiting.popleft()
            self._waiting_bytes -= flight.push.size
            if not flight.ended:
                size += flight.push.size
                batch.append(flight)
        return batch

    async def _publish(self, batch: list[Flight]) -> None:
        self._progress.publish(batch)
        self._counters.nodes_contacted += len(batch) * len(self._progress.nodes)
        encoded = self._encode(batch)
        try:
            await self._publisher.publish(encoded)
        except BusAway as error:
            self._say_away(error)
            self._progress.give_up(batch)
        except TooLarge as error:
            self._progress.withdraw(batch)
            self._split(batch, error)
        else:
            self._away = False
            self._counters.bus_messages += 1
            self._counters.bus_bytes += len(encoded)
            self._progress.published()

    def _encode(self, batch: list[Flight]) -> bytes:
        encoded = node_pb2.Broadcast(router=self._router, sent_ns=time.monotonic_ns())
        for flight in batch:
            trace = flight.trace
            if trace is not None:
                trace.planned({incarnation: Leg(incarnation) for incarnation in flight.nodes})
            traceparent = told_to_nodes(self.tracer, flight.push, trace.context if trace is not None else None)
            encoded.pushes.append(message(flight.push, 0, flight.received_ns, traceparent, flight.call))
        return encoded.SerializeToString()

    def _split(self, batch: list[Flight], error: TooLarge) -> None:
        """A message that the bus does not take: smaller ones from now on; a push that alone is too large is refused."""
        if len(batch) == 1:
            self._counters.pushes_refused += 1
            batch[0].end(bad("data", f"the bus did not take it: {error}; nothing was sent"))
            return
        self._batch_bytes //= 2
        self._waiting.extendleft(reversed(batch))
        self._waiting_bytes += sum(flight.push.size for flight in batch)

    def _say_away(self, error: BusAway) -> None:
        """Once for each time that it goes away."""
        self._counters.bus_away += 1
        if not self._away:
            self._away = True
            log.warning("pushes do not get to their gateways: %s", error)

    # From the nodes -------------------------------------------------------------------------------------------------

    def _complete(self, published: Published) -> None:
        assert isinstance(published, Flight)
        published.end(published.report.finish())

    def _count_unreachable(self) -> None:
        self._counters.unreachable += 1

    def _give_up_late_ones(self) -> None:
        now = self._loop.time()
        self._progress.give_up([flight for flight in self._progress if flight.due <= now])
        for flight in self._waiting:
            if flight.due <= now:
                text = f"the bus has not taken it for {LIMIT:.0f} s; nothing was sent"
                flight.end(CallRefused("UNAVAILABLE", text, retry_after=1.0))
        busy = bool(self._waiting) or len(self._progress) > 0
        self._look = self._loop.call_later(LOOK, self._give_up_late_ones) if busy else None
