"""Shell: broadcast delivery: each push is published once, on a bus that every node reads
(docs/design.md, "Broadcast mode").

Pushes that arrive while a message is being published leave together in the next one, as on a hop. No route is looked
up, so no route can be stale, and no push waits for another: the bus keeps the order of a publisher, and each node
handles pushes in order. Nodes report outcomes on the streams that the router has to them; `BroadcastProgress` decides
when a report is complete.
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
from router.delivery.message import to_message
from router.delivery.plan import Leg
from router.delivery.port import OnResult
from router.delivery.progress import BroadcastProgress, PublishedPush
from router.delivery.report import ReportBuilder
from router.delivery.trace import PushTrace, traceparent_for_nodes
from router.hop.fleet import Fleet
from router.hop.stream import HopSettings
from router.push import CallRefused, CheckedPush, invalid_argument
from runtime.bus.port import BusMessageTooLarge, BusUnavailable, Publisher
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024  # of one message; a larger push is published alone
PUSH_LIMIT = 5.0  # seconds beyond its ack_timeout within which a push must be complete
EXPIRY_INTERVAL = 0.25  # seconds between two checks of deadlines
RETRY_AFTER = 0.1  # seconds


class BroadcastPush(PublishedPush):
    """One push, from its call to its report."""

    __slots__ = ("finished", "on_result", "received_ns", "trace")

    def __init__(self, push: CheckedPush, received_ns: int, on_result: OnResult, deadline: float) -> None:
        super().__init__(push, ReportBuilder(push), deadline)
        self.received_ns = received_ns
        self.on_result = on_result
        self.finished = False
        self.trace: PushTrace | None = None  # None: not sampled

    def finish(self, result: router_pb2.PushReport | CallRefused) -> None:
        """Report the result to the caller and to the trace; only the first one counts."""
        if self.finished:
            return
        self.finished = True
        if self.trace is not None:
            self.trace.finish(result)
        self.on_result(result)


class Broadcast:
    """See `router.delivery.port.PushDelivery`. Publishes on the bus."""

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
        """`router`: the name of this process in its hellos, which no other process ever has.

        `settings`: bounds of the queue to the bus.
        """
        self._tracer = tracer
        self._router = router
        self._publisher = publisher
        self._feed = feed
        self._fleet = fleet
        self._settings = settings
        self._counters = counters
        self._waiting: deque[BroadcastPush] = deque()  # not published yet
        self._waiting_bytes = 0
        self._batch_bytes = BATCH_BYTES
        self._progress = BroadcastProgress(self._on_complete, self._count_unreachable)
        self._tasks = BackgroundTasks()
        self._publishing = False
        self._loop = asyncio.get_running_loop()
        self._expiry: asyncio.TimerHandle | None = None
        self._away = False
        fleet.add_listener(self._update_nodes)

    def start(self, push: CheckedPush, received_ns: int, on_result: OnResult) -> None:
        self._counters.pushes += 1
        published = BroadcastPush(push, received_ns, on_result, self._loop.time() + PUSH_LIMIT + push.ack_timeout)
        context = self._tracer.begin(push.traceparent)
        if context is not None:
            published.trace = PushTrace(self._tracer, context, push, received_ns)
            published.report.trace_id = context.trace_id
        if not self._has_room(push.size):
            self._counters.pushes_refused += 1
            text = "the queue to the bus is full; nothing was sent"
            published.finish(CallRefused("RESOURCE_EXHAUSTED", text, retry_after=RETRY_AFTER))
            return
        self._waiting.append(published)
        self._waiting_bytes += push.size
        if not self._publishing:
            self._publishing = True
            self._tasks.start(self._publish_waiting())
        if self._expiry is None:
            self._expiry = self._loop.call_later(EXPIRY_INTERVAL, self._expire)

    async def close(self) -> None:
        await self._tasks.close()
        if self._expiry is not None:
            self._expiry.cancel()
        while self._waiting:
            text = "this router is stopping; nothing was sent"
            self._waiting.popleft().finish(CallRefused("UNAVAILABLE", text, retry_after=RETRY_AFTER))
        self._progress.time_out(self._progress)

    def on_handled(self, incarnation: Incarnation, handled: node_pb2.Handled) -> None:
        """A node's message about pushes off the bus: the `OnHandled` of the fleet's hops."""
        self._progress.on_handled(incarnation, handled)

    def _has_room(self, size: int) -> bool:
        settings = self._settings
        in_flight = len(self._waiting) + len(self._progress)
        return in_flight < settings.queue and self._waiting_bytes + size <= settings.queue_bytes

    def _update_nodes(self) -> None:
        with_stream: list[Incarnation] = []
        without_stream: list[Incarnation] = []
        table = self._feed.table
        for incarnation in (*table.incarnations(), *table.lingering()):
            hop = self._fleet.hop(incarnation)
            (with_stream if hop is not None and hop.reachable else without_stream).append(incarnation)
        self._progress.set_nodes(with_stream, without_stream)

    # To the bus

    async def _publish_waiting(self) -> None:
        try:
            while self._waiting:
                await self._publish(self._next_batch())
        finally:
            self._publishing = False

    def _next_batch(self) -> list[BroadcastPush]:
        batch: list[BroadcastPush] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0].push.size <= self._batch_bytes):
            push = self._waiting.popleft()
            self._waiting_bytes -= push.push.size
            if not push.finished:
                size += push.push.size
                batch.append(push)
        return batch

    async def _publish(self, batch: list[BroadcastPush]) -> None:
        self._progress.on_publish(batch)
        self._counters.nodes_contacted += len(batch) * len(self._progress.nodes)
        encoded = self._encode(batch)
        try:
            await self._publisher.publish(encoded)
        except BusUnavailable as error:
            self._count_away(error)
            self._progress.time_out(batch)
        except BusMessageTooLarge as error:
            self._progress.on_rejected(batch)
            self._split(batch, error)
        else:
            self._away = False
            self._counters.bus_messages += 1
            self._counters.bus_bytes += len(encoded)
            self._progress.on_published()

    def _encode(self, batch: list[BroadcastPush]) -> bytes:
        encoded = node_pb2.Broadcast(router=self._router, sent_ns=time.monotonic_ns())
        for push in batch:
            trace = push.trace
            if trace is not None:
                trace.record_plan({incarnation: Leg(incarnation) for incarnation in push.nodes})
            context = trace.context if trace is not None else None
            traceparent = traceparent_for_nodes(self._tracer, push.push, context)
            encoded.pushes.append(to_message(push.push, 0, push.received_ns, traceparent, push.call))
        return encoded.SerializeToString()

    def _split(self, batch: list[BroadcastPush], error: BusMessageTooLarge) -> None:
        """Publish in smaller messages from now on. A push that is too large alone is refused."""
        if len(batch) == 1:
            self._counters.pushes_refused += 1
            batch[0].finish(invalid_argument("data", f"the bus did not accept the push: {error}; nothing was sent"))
            return
        self._batch_bytes //= 2
        self._waiting.extendleft(reversed(batch))
        self._waiting_bytes += sum(push.push.size for push in batch)

    def _count_away(self, error: BusUnavailable) -> None:
        """Count a publication that failed; the first one in a row is logged."""
        self._counters.bus_away += 1
        if not self._away:
            self._away = True
            log.warning("pushes are not published: %s", error)

    # Completion

    def _on_complete(self, push: PublishedPush) -> None:
        assert isinstance(push, BroadcastPush)
        push.finish(push.report.finish())

    def _count_unreachable(self) -> None:
        self._counters.unreachable += 1

    def _expire(self) -> None:
        now = self._loop.time()
        self._progress.time_out([push for push in self._progress if push.deadline <= now])
        for push in self._waiting:
            if push.deadline <= now:
                text = f"the bus has not accepted the push for {PUSH_LIMIT:.0f} s; nothing was sent"
                push.finish(CallRefused("UNAVAILABLE", text, retry_after=1.0))
        busy = bool(self._waiting) or len(self._progress) > 0
        self._expiry = self._loop.call_later(EXPIRY_INTERVAL, self._expire) if busy else None
