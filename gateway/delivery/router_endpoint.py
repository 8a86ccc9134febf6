"""What routers send to this node, whatever carries it (`gateway.delivery.node_server`).

A push is written under the incarnation it was planned with, or refused as OLD_EPOCH. While this node's lease may be
over, nothing is written: what a router sends is held until a router has answered whether the node is still alive
(docs/design.md, "Dead, paused, cut off").
"""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from gateway.delivery.node_requests import NodeRequestHandler
from gateway.delivery.push_writer import PushWriter
from gateway.delivery.router_stream import RequestWrite, RouterStream
from gateway.delivery.router_streams import RouterStreams
from gateway.delivery.traces import DeliveryTrace
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.lease_gate import LeaseGate
from gateway.sessions.timer import Deadlines
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from registry.lease_state import FencingAnswer, LeaseState
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

STATS_EVERY = 1.0  # seconds
ANSWERS = {
    node_pb2.Fencing.ALIVE: FencingAnswer.ALIVE,
    node_pb2.Fencing.FENCED: FencingAnswer.FENCED,
    node_pb2.Fencing.AWAY: FencingAnswer.AWAY,
}


MODES_DIFFER = "router %s is not in the %s mode of this gateway: no push arrives; set the same [delivery] mode for both"


class WrongIncarnation(Exception):
    """A stream that means another incarnation of this node."""


class StreamObserver(Protocol):
    """Something else that answers on the routers' streams (`gateway.delivery.bus_endpoint`)."""

    broadcasts: bool  # whether pushes come over the bus

    def stream_opened(self, stream: RouterStream) -> None: ...
    def stream_closed(self, stream: RouterStream) -> None: ...

    def resume(self) -> None:
        """A router has sent something, so what the node may do can have changed."""
        ...


class NoObserver:
    """Nothing else answers: routed mode."""

    broadcasts = False

    def stream_opened(self, stream: RouterStream) -> None: ...
    def stream_closed(self, stream: RouterStream) -> None: ...
    def resume(self) -> None: ...


class RouterEndpoint:
    """The way in for routers' streams."""

    def __init__(
        self,
        streams: RouterStreams,
        lease: LeaseGate,
        barrier: RouteAckBarrier,
        writer: PushWriter,
        requests: NodeRequestHandler,
        stats: Callable[[], node_pb2.Stats],
        deadlines: Deadlines,
        tasks: BackgroundTasks,
        counters: Counters,
        observer: StreamObserver,
    ) -> None:
        self._streams = streams
        self._lease = lease
        self._barrier = barrier
        self._writer = writer
        self._requests = requests
        self._stats = stats
        self._deadlines = deadlines
        self._tasks = tasks
        self._counters = counters
        self._observer = observer
        self._sending_stats = False  # a deadline for the next ones is scheduled

    # A router's stream ----------------------------------------------------------------------------------------------

    def open(
        self, first: node_pb2.RouterMessage, request_write: RequestWrite, resume_reading: Callable[[], None]
    ) -> RouterStream:
        """A router has sent its hello. What goes to it gathers in the stream, this node's hello first.

        Raises WrongIncarnation for one that means another incarnation of this node, also one that has not begun yet:
        its acknowledgements would count for nobody. The router dials again.
        """
        incarnation = self._lease.incarnation
        if incarnation is None or first.hello.epoch != incarnation.epoch:
            raise WrongIncarnation(f"this node's incarnation is {incarnation or 'about to begin'}")
        stream = RouterStream(first.hello.router, incarnation, request_write, resume_reading)
        log.info("router %s has opened its stream", stream.router)
        if first.hello.broadcast != self._observer.broadcasts:
            log.error(MODES_DIFFER, stream.router, "broadcast" if self._observer.broadcasts else "routed")
        stream.announce(self._observer.broadcasts)
        self._streams.add(stream)
        stream.transit.seen(first.sent_ns, time.monotonic_ns())
        self._barrier.opened(stream, first.table_batch)
        stream.unregistered(self._lease.unregistered())
        self._observer.stream_opened(stream)
        return stream

    def close(self, stream: RouterStream) -> None:
        """The stream has ended, whoever ended it."""
        log.info("router %s is gone", stream.router)
        self._streams.discard(stream)
        self._observer.stream_closed(stream)
        self._barrier.closed(stream)

    # What a router sends --------------------------------------------------------------------------------------------

    def on_message(self, stream: RouterStream, message: node_pb2.RouterMessage) -> None:
        """One message of a router. Answers gather in the stream; reading on waits for `stream.has_room`."""
        stream.transit.seen(message.sent_ns, time.monotonic_ns())
        if message.ping:
            stream.pong(message.ping)
        if message.HasField("table_batch"):
            self._barrier.acknowledged(stream, message.table_batch)
        for fencing in message.fencing:
            self._on_fencing(stream, fencing)
        if message.HasField("send_stats"):
            self._request_stats(stream, message.send_stats)
        if message.pushes or message.requests:
            stream.held.append(message)
        if stream.held:
            self._take_held(stream)
        self._observer.resume()

    def _on_fencing(self, stream: RouterStream, fencing: node_pb2.Fencing) -> None:
        queried = stream.fencing_answered(fencing.query)
        answer = ANSWERS.get(fencing.state)
        if queried is not None and answer is not None:
            self._lease.on_answer(answer, queried)

    def _take_held(self, stream: RouterStream) -> None:
        """Carry out what the stream holds, unless the lease may be over."""
        if self._lease.lease_state() is LeaseState.LAPSED:
            self._streams.query_fencing_of(stream)
            return
        while stream.held:
            message = stream.held.popleft()
            stream.opened(len(message.pushes) + len(message.requests))
            for push in message.pushes:
                self._take_push(stream, push)
            for request in message.requests:
                self._take_request(stream, request)
        self._writer.write()

    def _is_current(self, stream: RouterStream, epoch: int) -> bool:
        own = self._lease.incarnation
        if own is not None and epoch == stream.epoch == own.epoch and not self._is_fenced():
            return True
        self._counters.old_epoch += 1
        return False

    def _is_fenced(self) -> bool:
        return self._lease.lease_state() is LeaseState.FENCED

    def _take_push(self, stream: RouterStream, push: node_pb2.Push) -> None:
        self._counters.pushes_received += 1
        trace = self._writer.trace(stream.router, push) if push.traceparent else None
        if not self._is_current(stream, push.epoch):
            _refuse(stream, push, node_pb2.OLD_EPOCH, trace)
            return
        receivers = self._writer.receivers(push.receivers)
        if not receivers:
            if push.receivers.WhichOneof("to") != "everyone":
                self._counters.not_mine += 1
            _refuse(stream, push, node_pb2.NOT_MINE, trace)
            return
        age_ns = stream.transit.age(push.received_ns, time.monotonic_ns())
        self._writer.add(push, receivers, age_ns, stream.answerer(push), trace)

    def _take_request(self, stream: RouterStream, request: node_pb2.NodeRequest) -> None:
        if self._is_current(stream, request.epoch):
            self._tasks.start(self._carry_out(stream, request))
        else:
            stream.answer_request(node_pb2.NodeResponse(call=request.call, verdict=node_pb2.OLD_EPOCH))

    async def _carry_out(self, stream: RouterStream, request: node_pb2.NodeRequest) -> None:
        response = node_pb2.NodeResponse(call=request.call)  # no verdict, should this fail: the router must not wait
        try:
            response = await self._requests.carry_out(request)
        finally:
            stream.answer_request(response)

    # Statistics -----------------------------------------------------------------------------------------------------

    def _request_stats(self, stream: RouterStream, requested: bool) -> None:
        stream.sends_stats = requested
        if requested and not self._sending_stats:
            self._send_stats(0.0)

    def _send_stats(self, _now: float) -> None:
        """Each second, to the routers that asked for them."""
        asking = [stream for stream in self._streams if stream.sends_stats]
        self._sending_stats = bool(asking)
        if asking:
            stats = self._stats()
            for stream in asking:
                stream.send_stats(stats)
            self._deadlines.schedule_after(self._send_stats, STATS_EVERY)


def _refuse(stream: RouterStream, push: node_pb2.Push, verdict: node_pb2.Verdict, trace: DeliveryTrace | None) -> None:
    answer = node_pb2.PushAnswer(call=push.call, verdict=verdict)
    if trace is not None:
        trace.refused(answer)
    stream.answer_push(answer)
