"""Broadcast mode: pushes come off a bus that every gateway reads, and most of them find nobody here (design §6).

Each is handled in the order of the bus, through the same fan-out as a push that a router sent to us. A push that has
receivers here is answered on that router's stream; of the others the router hears only how far we have come, with the
next answers or a few times a second. Whoever writes to the bus is one of the cluster, as on the node port; yet a
message that is none of ours must do no harm, so it is dropped and counted.
"""

import asyncio
import logging
import time
from collections import deque
from functools import partial

from google.protobuf.message import DecodeError

from gateway.delivery.router_endpoint import LocalIncarnation, RouterEndpoint
from gateway.delivery.router_stream import RouterStream
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from registry.lapse import LeaseState
from runtime.bus.port import LARGEST, Subscriber

log = logging.getLogger(__name__)

SAY_WITHIN = 0.025  # seconds in which a router hears how far we have come
HOLD_BYTES = 16 * 1024 * 1024  # of messages held while the lease may be over


class BusEndpoint:
    """Reads the bus, and tells routers what became of their pushes."""

    def __init__(
        self, subscriber: Subscriber, port: RouterEndpoint, tenure: LocalIncarnation, counters: Counters
    ) -> None:
        self._subscriber = subscriber
        self._port = port
        self._tenure = tenure
        self._counters = counters
        self._links: dict[str, RouterStream] = {}  # by the router's name
        self._expected: dict[str, int] = {}  # of these routers: the next call
        self._held: deque[tuple[node_pb2.Broadcast, int]] = deque()  # heard while the lease may be over; their bytes
        self._held_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._saying: asyncio.TimerHandle | None = None
        port.bus = self

    async def open(self) -> None:
        """Subscribe: every push that is published after this is heard. Raises BusAway."""
        await self._subscriber.open()

    async def run(self) -> None:
        """Handle what comes, for ever."""
        await self._subscriber.run(self.on_message)

    async def close(self) -> None:
        if self._saying is not None:
            self._saying.cancel()
        await self._subscriber.close()

    # What the node port says ----------------------------------------------------------------------------------------

    def opened(self, link: RouterStream) -> None:
        """A router has opened its stream: from here on it is told about its pushes."""
        self._links[link.router] = link
        link.begin_handled()

    def closed(self, link: RouterStream) -> None:
        if self._links.get(link.router) is link:
            del self._links[link.router]
            self._expected.pop(link.router, None)

    def resume(self) -> None:
        """Handle what is held, if this node is known to be alive."""
        if not self._held:
            return
        while self._held:
            lease_state = self._tenure.lease_state()
            if lease_state is LeaseState.LAPSED:
                self._port.query_fencing_of_all()
                return
            message, size = self._held.popleft()
            self._held_bytes -= size
            self._handle(message, lease_state)
        self._port.pump()

    # What the bus says ----------------------------------------------------------------------------------------------

    def on_message(self, raw: bytes) -> None:
        """One message, whatever it is."""
        self._counters.bus_messages += 1
        self._counters.bus_bytes += len(raw)
        message = _read(raw)
        if message is None or self._held_bytes + len(raw) > HOLD_BYTES:
            self._counters.bus_dropped += 1
            return
        self._held.append((message, len(raw)))
        self._held_bytes += len(raw)
        self.resume()

    def _handle(self, message: node_pb2.Broadcast, lease_state: LeaseState) -> None:
        link = self._links.get(message.router)
        first, last = message.pushes[0].call, message.pushes[-1].call
        if lease_state is LeaseState.FENCED or self._tenure.incarnation is None:
            self._counters.old_epoch += len(message.pushes)
        else:
            for push in message.pushes:
                self._take(push, message, link)
        if link is not None:
            self._counters.bus_missed += max(0, first - self._expected.get(message.router, first))
            self._expected[message.router] = last + 1
            link.handled(first, last)
            self._say_soon()

    def _take(self, push: node_pb2.Push, message: node_pb2.Broadcast, link: RouterStream | None) -> None:
        self._counters.pushes_received += 1
        receivers = self._port.receivers(push.receivers)
        if not receivers:
            if push.receivers.WhichOneof("to") != "everyone":
                self._counters.not_mine += 1
            elif link is not None:
                link.answer_published(node_pb2.PushAnswer(call=push.call, verdict=node_pb2.DONE))
            return
        trace = self._port.trace(message.router, push) if push.traceparent else None
        if link is None:  # it reads no answers of ours now; its clock is not ours, so time under way is not known
            self._port.write(push, receivers, max(0, message.sent_ns - push.received_ns), _discard_answer, trace)
            return
        link.take_published(push.call)
        age_ns = link.transit.age(push.received_ns, time.monotonic_ns())
        answer = partial(link.answer_published, linger=push.linger)
        self._port.write(push, receivers, age_ns, answer, trace)

    def _say_soon(self) -> None:
        if self._saying is None:
            self._saying = self._loop.call_later(SAY_WITHIN, self._say)

    def _say(self) -> None:
        """To each router that has not heard it with an answer: how far we have come."""
        self._saying = None
        for link in self._links.values():
            if link.unsaid:
                link.request_write()


def _discard_answer(_answer: node_pb2.PushAnswer) -> None:
    """The router's stream is not there."""


def _read(raw: bytes) -> node_pb2.Broadcast | None:
    """What a router has published; None for anything else."""
    if len(raw) > LARGEST:
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
