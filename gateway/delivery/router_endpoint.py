"""The node port: what routers say comes in here; pushes go to the fan-out, answers gather and go back.

A push is written under the incarnation it was planned with, or refused as OLD_EPOCH. While this node's lease may be
over it writes nothing: what a router says is held until that router has answered whether the node is still alive
(design §4, "Lapsed").
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from gateway.close_codes import SLOW
from gateway.delivery.fanout import Fanout, PushJob
from gateway.delivery.node_requests import NodeRequestHandler
from gateway.delivery.router_stream import RouterStream
from gateway.delivery.traces import DeliveryTrace
from gateway.registration.barrier import RouteAckBarrier
from gateway.service import Gateway
from gateway.sessions.acks import Acks
from gateway.sessions.budget import Budget
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from observability.tracing import OFF, Tracer
from registry.lapse import FencingAnswer, LeaseState
from registry.model import Incarnation

log = logging.getLogger(__name__)

VOUCHED_WITHIN = 2.5  # seconds; a router's read of a store that is away takes 2
TURN = 0.002  # seconds of writing before everything else gets a turn
ANSWERS = {
    node_pb2.Fencing.ALIVE: FencingAnswer.ALIVE,
    node_pb2.Fencing.FENCED: FencingAnswer.FENCED,
    node_pb2.Fencing.AWAY: FencingAnswer.AWAY,
}


class WrongIncarnation(Exception):
    """A stream that means another incarnation of this node."""


class LocalIncarnation(Protocol):
    """What the node port asks about this node's incarnation."""

    @property
    def incarnation(self) -> Incarnation | None: ...
    def lease_state(self) -> LeaseState: ...
    def clock(self) -> float: ...
    def on_fencing_answer(self, answer: FencingAnswer, asked: float) -> None: ...
    def unregistered(self) -> bool: ...


class Bus(Protocol):
    """What the node port tells the one who reads pushes off the bus (`gateway.delivery.bus_endpoint`)."""

    def opened(self, link: RouterStream) -> None: ...
    def closed(self, link: RouterStream) -> None: ...
    def resume(self) -> None: ...


class RouterEndpoint:
    """Everything that routers say to this node, whatever carries it (`gateway.delivery.node_server`)."""

    def __init__(
        self,
        tenure: LocalIncarnation,
        gateway: Gateway,
        index: Index[Session],
        reach: RouteAckBarrier,
        acks: Acks,
        budget: Budget,
        counters: Counters,
        stats: Callable[[], node_pb2.Stats],
        tracer: Tracer = OFF,
    ) -> None:
        self._tracer = tracer
        self._tenure = tenure
        self._gateway = gateway
        self._index = index
        self._reach = reach
        self._acks = acks
        self._requests = NodeRequestHandler(gateway, index, self.receivers)
        self._stats = stats
        self._saying = False  # statistics, to somebody, each second
        self._budget = budget
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._fanout = Fanout()
        self._pumping = False
        self._links: set[RouterStream] = set()
        self._heard = asyncio.Event()  # a router has said whether this node is still alive
        self.bus: Bus | None = None  # where pushes come in that are on the bus

    async def wait_lease_state(self) -> LeaseState:
        """What this node may do; while its lease may be over, what the routers say, if one does in time."""
        if self._tenure.lease_state() is LeaseState.LAPSED and self._links:
            self._heard.clear()
            self.query_fencing_of_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VOUCHED_WITHIN):
                    await self._heard.wait()
        return self._tenure.lease_state()

    def query_fencing_of_all(self) -> None:
        """Ask every router; their answers change what `LocalIncarnation.standing` says."""
        for link in self._links:
            self._query_fencing(link)

    def say_unregistered(self, any: bool) -> None:
        """Tell every router whether it must scatter to this node."""
        for link in self._links:
            link.unregistered(any)

    # A router's stream ----------------------------------------------------------------------------------------------

    def open(self, first: node_pb2.RouterMessage) -> RouterStream:
        """A router has said hello. What it will hear gathers in the link, hello first.

        Raises WrongIncarnation for one that means another incarnation of this node, also one that has not quite begun:
        its acknowledgements would count for nobody. The router dials again.
        """
        incarnation = self._tenure.incarnation
        if incarnation is None or first.hello.epoch != incarnation.epoch:
            raise WrongIncarnation(f"this node's incarnation is {incarnation or 'about to begin'}")
        link = RouterStream(first.hello.router, first.hello.epoch)
        link.hello(incarnation)
        log.info("router %s has opened its stream", link.router)
        self._links.add(link)
        link.transit.seen(first.sent_ns, time.monotonic_ns())
        self._reach.opened(link, first.table_batch)
        link.unregistered(self._tenure.unregistered())
        if self.bus is not None:
            self.bus.opened(link)
        return link

    def close(self, link: RouterStream) -> None:
        """The stream has ended, whoever ended it."""
        log.info("router %s is gone", link.router)
        self._links.discard(link)
        if self.bus is not None:
            self.bus.closed(link)
        self._reach.closed(link)

    # What a router says ---------------------------------------------------------------------------------------------

    def read(self, link: RouterStream, message: node_pb2.RouterMessage) -> None:
        """One message of a router. Answers gather in the link; reading on waits for `link.room`."""
        link.transit.seen(message.sent_ns, time.monotonic_ns())
        if message.ping:
            link.pong(message.ping)
        if message.HasField("table_batch"):
            self._reach.acknowledged(link, message.table_batch)
        for fencing in message.fencing:
            self._on_fencing(link, fencing)
        if message.HasField("send_stats"):
            link.sends_stats = message.send_stats
            if link.sends_stats and not self._saying:
                self._say_stats(0.0)
        if message.pushes or message.requests:
            link.held.append(message)
        if link.held:
            self._act_if_alive(link)
        if self.bus is not None:
            self.bus.resume()

    def _on_fencing(self, link: RouterStream, fencing: node_pb2.Fencing) -> None:
        asked = link.fencing_answered(fencing.query)
        answer = ANSWERS.get(fencing.state)
        if asked is not None and answer is not None:
            self._tenure.on_fencing_answer(answer, asked)
            self._heard.set()

    def _act_if_alive(self, link: RouterStream) -> None:
        if self._tenure.lease_state() is LeaseState.LAPSED:
            self._query_fencing(link)
            return
        while link.held:
            message = link.held.popleft()
            link.opened(len(message.pushes) + len(message.requests))
            for push in message.pushes:
                self._take_push(link, push)
            for ask in message.requests:
                self._take_request(link, ask)
        self.pump()

    def _query_fencing(self, link: RouterStream) -> None:
        if link.query_fencing(self._tenure.clock()):
            self._counters.fencing_queries += 1

    def _current(self, link: RouterStream, epoch: int) -> bool:
        incarnation = self._tenure.incarnation
        if (
            incarnation is not None
            and epoch == link.epoch == incarnation.epoch
            and self._tenure.lease_state() is not LeaseState.FENCED
        ):
            return True
        self._counters.old_epoch += 1
        return False

    def _take_push(self, link: RouterStream, push: node_pb2.Push) -> None:
        self._counters.pushes_received += 1
        trace = self.trace(link.router, push) if push.traceparent else None
        if not self._current(link, push.epoch):
            self._refuse(link, push, node_pb2.OLD_EPOCH, trace)
            return
        receivers = self.receivers(push.receivers)
        if not receivers and push.receivers.WhichOneof("to") == "everyone":
            link.answer_push(node_pb2.PushAnswer(call=push.call, verdict=node_pb2.DONE))  # nobody is here
            return
        if not receivers:
            self._counters.not_mine += 1
            self._refuse(link, push, node_pb2.NOT_MINE, trace)
            return
        age_ns = link.transit.age(push.received_ns, time.monotonic_ns())
        self.write(push, receivers, age_ns, link.answerer(push), trace)

    def write(
        self,
        push: node_pb2.Push,
        receivers: Collection[Session],
        age_ns: int,
        answer: Callable[[node_pb2.PushAnswer], None],
        trace: DeliveryTrace | None,
    ) -> None:
        """Take the push into the fan-out; `pump` writes it."""
        ack = None
        if push.ack_timeout_ms:
            ack = self._acks.next()
            answer = partial(self._answer_acked, answer, ack)
        if trace is None:
            job = PushJob(push, receivers, age_ns, time.monotonic_ns, answer, ack)
        else:
            job = trace.job(receivers, age_ns, time.monotonic_ns, answer, ack)
        if ack is not None:
            self._acks.wait(ack, job)
        self._fanout.add(job)

    def trace(self, router: str, push: node_pb2.Push) -> DeliveryTrace | None:
        """The spans of this push here; None: it is not sampled."""
        context = self._tracer.continued(push.traceparent)
        if context is None:
            return None
        return DeliveryTrace(self._tracer, context, push, router, self._gateway.node)

    def _refuse(
        self, link: RouterStream, push: node_pb2.Push, verdict: node_pb2.Verdict, trace: DeliveryTrace | None
    ) -> None:
        answer = node_pb2.PushAnswer(call=push.call, verdict=verdict)
        if trace is not None:
            trace.refused(answer)
        link.answer_push(answer)

    def _answer_acked(
        self, answer: Callable[[node_pb2.PushAnswer], None], ack: int, message: node_pb2.PushAnswer
    ) -> None:
        self._acks.forget(ack)
        answer(message)

    def receivers(self, receivers: node_pb2.Receivers) -> Collection[Session]:
        """Who is meant, of the sessions here."""
        match receivers.WhichOneof("to"):
            case "sessions":
                found = map(self._index.sessions.get, receivers.sessions.sids)
                return [session for session in found if session is not None]
            case _ if receivers.namespace not in ("", "/", "*"):
                return ()
            case "user":
                return self._index.user(receivers.user)
            case "file":
                return self._index.file(receivers.file)
            case "everyone":
                return self._index.sessions.values()
        return ()

    def pump(self) -> None:
        """Begin to write what was taken, unless that goes on already."""
        if not self._pumping:
            self._pump()

    def _pump(self) -> None:
        """Write slices until nothing is left, or until others must have a turn."""
        self._pumping = False
        until = self._loop.time() + TURN
        while (turn := self._fanout.turn(self._budget, self._counters)) is not None:
            job, slow, error = turn
            if error is not None:
                log.error("a push could not be written", exc_info=error)
            for session in slow:
                session.close(SLOW.code, SLOW.reason)
            if job.written_all and not job.answered:
                due = (job.due_ns() - time.monotonic_ns()) / 1e9
                self._gateway.deadlines.schedule(partial(_finalize, job), self._loop.time() + max(0.0, due))
            if self._loop.time() > until:
                self._pumping = True
                self._loop.call_soon(self._pump)
                return

    # Everything but pushes ------------------------------------------------------------------------------------------

    def _take_request(self, link: RouterStream, ask: node_pb2.NodeRequest) -> None:
        if self._current(link, ask.epoch):
            self._gateway.tasks.start(self._answer_request(link, ask))
        else:
            link.answer_request(node_pb2.NodeResponse(call=ask.call, verdict=node_pb2.OLD_EPOCH))

    async def _answer_request(self, link: RouterStream, ask: node_pb2.NodeRequest) -> None:
        answer = node_pb2.NodeResponse(call=ask.call)  # without a verdict, should this fail: the router must not wait
        try:
            answer = await self._requests.answer(ask)
        finally:
            link.answer_request(answer)

    def _say_stats(self, _now: float) -> None:
        """Each second, to routers that want it."""
        wanting = [link for link in self._links if link.sends_stats]
        self._saying = bool(wanting)
        if wanting:
            stats = self._stats()
            for link in wanting:
                link.say_stats(stats)
            self._gateway.deadlines.schedule(self._say_stats, self._loop.time() + 1.0)


def _finalize(job: PushJob, _now: float) -> None:
    job.finalize()
