"""Turns a push into writes on this node: its receivers, its spans, its earlier tries, its fan-out, its acks.

Both ways in use it: pushes that a router sends (`router_endpoint`) and pushes off the bus (`bus_endpoint`).
"""

import asyncio
import logging
import time
from collections.abc import Collection
from functools import partial

from gateway.back_pressure import SlowConsumers
from gateway.delivery.dedup import Dedup
from gateway.delivery.fanout import Fanout
from gateway.delivery.push_job import OnAnswer, PushJob
from gateway.delivery.traces import DeliveryTrace
from gateway.sessions.acks import Acks
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.sessions.timer import Deadlines
from homing.internal.v1 import node_pb2
from observability.counters import Counters
from observability.tracing import Tracer

log = logging.getLogger(__name__)

SLICE_BUDGET = 0.002  # seconds of writing before everything else gets a turn
FORGET_EVERY = 5.0  # seconds between two looks at what dedup remembers, while no push comes


class PushWriter:
    """All pushes that are being written on this node."""

    def __init__(
        self,
        node: str,
        index: Index[Session],
        acks: Acks,
        dedup: Dedup,
        slow: SlowConsumers,
        deadlines: Deadlines,
        counters: Counters,
        tracer: Tracer,
        has_namespaces: bool = False,
    ) -> None:
        """`has_namespaces`: sessions may be in other namespaces than "/"."""
        self._has_namespaces = has_namespaces
        self._node = node
        self._dedup = dedup
        self._slow = slow
        self._due: set[PushJob] = set()  # jobs whose report waits for outcomes, until it is due
        self._forgetting = False  # a deadline to forget old pushes is scheduled
        self._index = index
        self._acks = acks
        self._deadlines = deadlines
        self._counters = counters
        self._tracer = tracer
        self._fanout = Fanout()
        self._loop = asyncio.get_running_loop()
        self._scheduled = False  # the next slices are written by a callback

    def receivers(self, receivers: node_pb2.Receivers) -> Collection[Session]:
        """The sessions of this node that are meant."""
        match receivers.WhichOneof("to"):
            case "sessions":
                found = map(self._index.sessions.get, receivers.sessions.sids)
                return [session for session in found if session is not None]
            case "user":
                return self._in_namespace(self._index.user(receivers.user), receivers.namespace)
            case "file":
                return self._in_namespace(self._index.file(receivers.file), receivers.namespace)
            case "everyone":
                return self._in_namespace(self._index.sessions.values(), receivers.namespace)
        return ()

    def _in_namespace(self, sessions: Collection[Session], namespace: str) -> Collection[Session]:
        """Those of them that are in this namespace; "" is "/", "*" is all."""
        chosen = namespace or "/"
        if chosen == "*":
            return sessions
        if not self._has_namespaces:
            return sessions if chosen == "/" else ()
        return [session for session in sessions if session.codec.namespace == chosen]

    def trace(self, router: str, push: node_pb2.Push) -> DeliveryTrace | None:
        """The spans of this push here; None: it is not sampled."""
        context = self._tracer.begin_if_traced(push.traceparent)
        if context is None:
            return None
        return DeliveryTrace(self._tracer, context, push, router, self._node)

    def add(
        self,
        push: node_pb2.Push,
        receivers: Collection[Session],
        age_ns: int,
        answer: OnAnswer,
        trace: DeliveryTrace | None,
    ) -> None:
        """Take the push into the fan-out; `write` begins to write it. `age_ns`: since the router received it."""
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
        if push.dedup:
            self._dedup.take(job, time.monotonic_ns())
            if not self._forgetting:
                self._forget_later()
        self._fanout.add(job)

    def write(self) -> None:
        """Begin to write what was added, unless that goes on already."""
        if not self._scheduled:
            self._write_slices()

    def _write_slices(self) -> None:
        """Write slices until nothing is left, or until everything else must have a turn."""
        self._scheduled = False
        until = self._loop.time() + SLICE_BUDGET
        while (result := self._fanout.write_slice(self._counters)) is not None:
            job, slow, error = result
            if error is not None:
                log.error("a push could not be written", exc_info=error)
            for session in slow:
                self._slow.on_dropped(session)
            if job.written_all and not job.answered:
                self._finalize_later(job)
            if self._loop.time() > until:
                self._scheduled = True
                self._loop.call_soon(self._write_slices)
                return

    def _forget_later(self) -> None:
        self._forgetting = True
        self._deadlines.schedule_after(self._forget, FORGET_EVERY)

    def _forget(self, _now: float) -> None:
        """Forget old pushes also when no new ones come, until none is left."""
        self._forgetting = False
        self._dedup.expire(time.monotonic_ns())
        if len(self._dedup):
            self._forget_later()

    def _finalize_later(self, job: PushJob) -> None:
        due = (job.due_ns() - time.monotonic_ns()) / 1e9
        self._due.add(job)
        self._deadlines.schedule_after(partial(self._finalize, job), max(0.0, due))

    def _finalize(self, job: PushJob, _now: float) -> None:
        self._due.discard(job)
        job.finalize()

    def finalize_all(self) -> None:
        """Report everything now: this node stops, and what is not known yet will not be known."""
        due, self._due = self._due, set()
        for job in due:
            job.finalize()

    def _answer_acked(self, answer: OnAnswer, ack: int, message: node_pb2.PushAnswer) -> None:
        self._acks.forget(ack)
        answer(message)
