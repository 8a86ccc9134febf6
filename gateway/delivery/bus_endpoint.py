"""Broadcast mode: pushes come off a bus that every gateway reads (docs/design.md, "Broadcast mode").

Each is handled in the order of the bus, by the same writer as a push that a router sends. A push with receivers here
is answered on its router's stream; of the others the router only learns how far this node has come, with the next
answers or a few times a second. Whoever writes to the bus is one of the cluster, as on the node port; yet a message
that is none of ours must do no harm, so it is dropped and counted.
"""

import asyncio
import time
from collections import deque
from functools import partial

from google.protobuf.message import DecodeError

from gateway.delivery.push_writer import PushWriter
from gateway.delivery.router_stream import RouterStream
from gateway.registration.lease_gate import LeaseGate
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from registry.lease_state import LeaseState
from runtime.bus.port import MAX_MESSAGE_SIZE, Subscriber

REPORT_WITHIN = 0.025  # seconds in which a router learns how far this node has come
HELD_BYTES = 16 * 1024 * 1024  # of messages held while the lease may be over


class BusEndpoint:
    """The way in for pushes off the bus (a `gateway.delivery.router_endpoint.StreamObserver`)."""

    broadcasts = True

    def __init__(self, subscriber: Subscriber, lease: LeaseGate, writer: PushWriter, counters: Counters) -> None:
        self._subscriber = subscriber
        self._lease = lease
        self._writer = writer
        self._counters = counters
        self._streams: dict[str, RouterStream] = {}  # by the router's name
        self._expected: dict[str, int] = {}  # of these routers: the next call
        self._held: deque[tuple[node_pb2.Broadcast, int]] = deque()  # with their bytes
        self._held_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._report_timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Subscribe: every push that is published after this is received. Raises BusUnavailable."""
        await self._subscriber.open()

    async def run(self) -> None:
        """Handle what comes, for ever."""
        await self._subscriber.run(self.on_message)

    async def close(self) -> None:
        if self._report_timer is not None:
            self._report_timer.cancel()
        await self._subscriber.close()

    # From the router endpoint ---------------------------------------------------------------------------------------

    def stream_opened(self, stream: RouterStream) -> None:
        """From here on the router learns what became of its pushes."""
        self._streams[stream.router] = stream
        stream.begin_handled()

    def stream_closed(self, stream: RouterStream) -> None:
        if self._streams.get(stream.router) is stream:
            del self._streams[stream.router]
            self._expected.pop(stream.router, None)

    def resume(self) -> None:
        """Handle what is held, unless the lease may be over."""
        if not self._held:
            return
        while self._held:
            state = self._lease.lease_state()
            if state is LeaseState.LAPSED:
                self._lease.query_routers()
                return
            message, size = self._held.popleft()
            self._held_bytes -= size
            self._handle(message, state)
        self._writer.write()

    # From the bus ---------------------------------------------------------------------------------------------------

    def on_message(self, raw: bytes) -> None:
        """One message, whatever it is."""
        self._counters.bus_messages += 1
        self._counters.bus_bytes += len(raw)
        message = _read(raw)
        if message is None or self._held_bytes + len(raw) > HELD_BYTES:
            self._counters.bus_dropped += 1
            return
        self._held.append((message, len(raw)))
        self._held_bytes += len(raw)
        self.resume()

    def _handle(self, message: node_pb2.Broadcast, state: LeaseState) -> None:
        stream = self._streams.get(message.router)
        first, last = message.pushes[0].call, message.pushes[-1].call
        if state is LeaseState.FENCED or self._lease.incarnation is None:
            self._counters.old_epoch += len(message.pushes)
            if stream is not None:
                self._expected[message.router] = last + 1
            return  # the router is not told that this was handled: what it hears of later calls shows the gap
        for push in message.pushes:
            self._take(push, message, stream)
        if stream is not None:
            self._counters.bus_missed += max(0, first - self._expected.get(message.router, first))
            self._expected[message.router] = last + 1
            stream.handled(first, last)
            self._report_soon()

    def _take(self, push: node_pb2.Push, message: node_pb2.Broadcast, stream: RouterStream | None) -> None:
        self._counters.pushes_received += 1
        receivers = self._writer.receivers(push.receivers)
        if not receivers:
            if push.receivers.WhichOneof("to") != "everyone":
                self._counters.not_mine += 1
            return
        trace = self._writer.trace(message.router, push) if push.traceparent else None
        if stream is None:  # nobody reads an answer; the router's clock is unknown, and so is the time in transit
            age_ns = max(0, message.sent_ns - push.received_ns)
            self._writer.add(push, receivers, age_ns, _discard_answer, trace)
            return
        stream.take_published(push.call)
        age_ns = stream.transit.age(push.received_ns, time.monotonic_ns())
        answer = partial(stream.answer_published, linger=push.linger)
        self._writer.add(push, receivers, age_ns, answer, trace)

    def _report_soon(self) -> None:
        if self._report_timer is None:
            self._report_timer = self._loop.call_later(REPORT_WITHIN, self._report)

    def _report(self) -> None:
        """To each router that did not learn it with an answer: how far this node has come."""
        self._report_timer = None
        for stream in self._streams.values():
            stream.flush_handled()


def _discard_answer(_answer: node_pb2.PushAnswer) -> None:
    """The router's stream is not open."""


def _read(raw: bytes) -> node_pb2.Broadcast | None:
    """What a router has published; None for anything else."""
    if len(raw) > MAX_MESSAGE_SIZE:
        return None
    try:
        message = node_pb2.Broadcast.FromString(raw)
    except DecodeError:
        return None
    pushes = message.pushes
    if not message.router or not pushes or not pushes[0].call:
        return None
    if any(push.epoch or push.call != pushes[0].call + index for index, push in enumerate(pushes)):
        return None
    return message
