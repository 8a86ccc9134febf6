"""The node port: what routers say comes in here; pushes go to the fan-out, answers gather and go back.

A push is written under the life it was planned with, or refused as OLD_EPOCH. While this node's lease may be over it
writes nothing: what a router says is held until that router has answered whether the node is still alive (design §4,
"Lapsed").
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from gateway.closing import SLOW
from gateway.delivery.acks import Acks
from gateway.delivery.asks import Asks
from gateway.delivery.fanout import Fanout, Job
from gateway.delivery.link import Link
from gateway.delivery.reach import Reach
from gateway.service import Gateway
from gateway.sessions.budget import Budget
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from registry.lapse import Answer, Standing
from registry.model import Life

log = logging.getLogger(__name__)

VOUCHED_WITHIN = 2.5  # seconds; a router's read of a store that is away takes 2
TURN = 0.002  # seconds of writing before everything else gets a turn
ANSWERS = {
    node_pb2.Fencing.ALIVE: Answer.ALIVE,
    node_pb2.Fencing.FENCED: Answer.FENCED,
    node_pb2.Fencing.AWAY: Answer.AWAY,
}


class Tenure(Protocol):
    """What the node port asks about this node's life."""

    @property
    def life(self) -> Life: ...
    def standing(self) -> Standing: ...
    def clock(self) -> float: ...
    def vouched(self, answer: Answer, asked: float) -> None: ...
    def unregistered(self) -> bool: ...


class NodePort:
    """Everything that routers say to this node, whatever carries it (`gateway.delivery.node_server`)."""

    def __init__(
        self,
        tenure: Tenure,
        gateway: Gateway,
        index: Index[Session],
        reach: Reach,
        acks: Acks,
        budget: Budget,
        counters: Counters,
        stats: Callable[[], node_pb2.Stats],
    ) -> None:
        self._tenure = tenure
        self._gateway = gateway
        self._index = index
        self._reach = reach
        self._acks = acks
        self._asks = Asks(gateway, index, self._receivers)
        self._stats = stats
        self._saying = False  # statistics, to somebody, each second
        self._budget = budget
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._fanout = Fanout()
        self._pumping = False
        self._links: set[Link] = set()
        self._somebody = asyncio.Event()
        self._heard = asyncio.Event()  # a router has said whether this node is still alive

    async def wait_linked(self) -> None:
        """Until a router has opened a stream."""
        await self._somebody.wait()

    async def wait_standing(self) -> Standing:
        """What this node may do; while its lease may be over, what the routers say, if one does in time."""
        if self._tenure.standing() is Standing.LAPSED and self._links:
            self._heard.clear()
            for link in self._links:
                self._ask(link)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(VOUCHED_WITHIN):
                    await self._heard.wait()
        return self._tenure.standing()

    def say_unregistered(self, any: bool) -> None:
        """Tell every router whether it must scatter to this node."""
        for link in self._links:
            link.unregistered(any)

    # A router's stream ----------------------------------------------------------------------------------------------

    def open(self, first: node_pb2.RouterMessage) -> Link:
        """A router has said hello. What it will hear gathers in the link, hello first."""
        life = self._tenure.life
        link = Link(first.hello.router, first.hello.epoch)
        link.hello(life)
        log.info("router %s has opened its stream", link.router)
        self._links.add(link)
        link.transit.seen(first.sent_ns, time.monotonic_ns())
        if link.epoch == life.epoch:
            self._reach.opened(link, first.table_batch)
            self._somebody.set()
        if self._tenure.unregistered():
            link.unregistered(True)
        return link

    def close(self, link: Link) -> None:
        """The stream has ended, whoever ended it."""
        log.info("router %s is gone", link.router)
        self._links.discard(link)
        self._reach.closed(link)

    # What a router says ---------------------------------------------------------------------------------------------

    def read(self, link: Link, message: node_pb2.RouterMessage) -> None:
        """One message of a router. Answers gather in the link; reading on waits for `link.wait_room`."""
        link.transit.seen(message.sent_ns, time.monotonic_ns())
        if message.ping:
            link.pong(message.ping)
        if message.HasField("table_batch"):
            self._reach.acknowledged(link, message.table_batch)
        for fencing in message.fencing:
            self._hear_fencing(link, fencing)
        if message.HasField("want_stats"):
            link.wants_stats = message.want_stats
            if link.wants_stats and not self._saying:
                self._say_stats(0.0)
        if message.pushes or message.asks:
            link.opened(len(message.pushes) + len(message.asks))
            link.held.append(message)
        if link.held:
            self._act_if_alive(link)

    def _hear_fencing(self, link: Link, fencing: node_pb2.Fencing) -> None:
        asked = link.fencing_answered(fencing.ask)
        answer = ANSWERS.get(fencing.state)
        if asked is not None and answer is not None:
            self._tenure.vouched(answer, asked)
            self._heard.set()

    def _act_if_alive(self, link: Link) -> None:
        if self._tenure.standing() is Standing.LAPSED:
            self._ask(link)
            return
        while link.held:
            message = link.held.popleft()
            for push in message.pushes:
                self._take_push(link, push)
            for ask in message.asks:
                self._take_ask(link, ask)
        if not self._pumping:
            self._pump()

    def _ask(self, link: Link) -> None:
        if link.ask_fencing(self._tenure.clock()):
            self._counters.fencing_asked += 1

    def _current(self, link: Link, epoch: int) -> bool:
        if epoch == link.epoch == self._tenure.life.epoch and self._tenure.standing() is not Standing.FENCED:
            return True
        self._counters.old_epoch += 1
        return False

    def _take_push(self, link: Link, push: node_pb2.Push) -> None:
        self._counters.pushes_received += 1
        if not self._current(link, push.epoch):
            link.answer_push(node_pb2.PushAnswer(call=push.call, verdict=node_pb2.OLD_EPOCH))
            return
        receivers = self._receivers(push.receivers)
        if not receivers:
            self._counters.not_mine += 1
            link.answer_push(node_pb2.PushAnswer(call=push.call, verdict=node_pb2.NOT_MINE))
            return
        age = link.transit.age(push.received_ns, time.monotonic_ns())
        if not push.ack_timeout_ms:
            self._fanout.add(Job(push, receivers, age, time.monotonic_ns, link.answer_push))
            return
        ack = self._acks.next()
        job = Job(push, receivers, age, time.monotonic_ns, partial(self._answer_acked, link, ack), ack)
        self._acks.wait(ack, job)
        self._fanout.add(job)

    def _answer_acked(self, link: Link, ack: int, answer: node_pb2.PushAnswer) -> None:
        self._acks.forget(ack)
        link.answer_push(answer)

    def _receivers(self, receivers: node_pb2.Receivers) -> Collection[Session]:
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

    def _pump(self) -> None:
        """Write slices until nothing is left, or until others must have a turn."""
        self._pumping = False
        until = self._loop.time() + TURN
        while (turn := self._fanout.turn(self._budget, self._counters)) is not None:
            job, slow = turn
            for session in slow:
                session.close(SLOW.code, SLOW.reason)
            if job.written_all and not job.answered:
                due = (job.due_ns() - time.monotonic_ns()) / 1e9
                self._gateway.deadlines.schedule(partial(_close_books, job), self._loop.time() + max(0.0, due))
            if self._loop.time() > until:
                self._pumping = True
                self._loop.call_soon(self._pump)
                return

    # Everything but pushes ------------------------------------------------------------------------------------------

    def _take_ask(self, link: Link, ask: node_pb2.Ask) -> None:
        if self._current(link, ask.epoch):
            self._gateway.tasks.start(self._answer_ask(link, ask))
        else:
            link.answer_ask(node_pb2.AskAnswer(call=ask.call, verdict=node_pb2.OLD_EPOCH))

    async def _answer_ask(self, link: Link, ask: node_pb2.Ask) -> None:
        link.answer_ask(await self._asks.answer(ask))

    def _say_stats(self, _now: float) -> None:
        """Each second, to routers that want it."""
        wanting = [link for link in self._links if link.wants_stats]
        self._saying = bool(wanting)
        if wanting:
            stats = self._stats()
            for link in wanting:
                link.say_stats(stats)
            self._gateway.deadlines.schedule(self._say_stats, self._loop.time() + 1.0)


def _close_books(job: Job, _now: float) -> None:
    job.close_books()
