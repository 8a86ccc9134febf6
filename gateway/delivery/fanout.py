"""Core: one push becomes one frame per codec, is given to every receiver, and each receiver's outcome is gathered.

A push is encoded at most once per codec and shared, its ack number included: that comes from one counter per node. A
large fan-out is written in slices, so that other pushes interleave; two pushes to the same target never overtake each
other, because the later one waits for the earlier one's last slice (design §3, §5 "Order"). Outcomes that are not known
at once are owed: a connection whose kernel buffer is full tells later, a client's ack comes when it comes, and what is
still owed when the report is due is QUEUED, or stays WRITTEN without an ack (api.md, "Outcomes").
"""

from collections import deque
from collections.abc import Callable, Collection
from itertools import islice
from operator import length_hint
from typing import NamedTuple

from gateway.outcome import ACKED, DROPPED_SLOW, EXPIRED, OFFLINE, QUEUED, UNREACHABLE, WRITTEN
from gateway.sessions.budget import Budget
from gateway.sessions.session import Session
from gateway.wire.ports import Codec, Pushed
from homing.internal.v1 import node_pb2
from observability.counters import Counters

SLICE = 256  # sockets written before others get a turn
GOOD = frozenset({WRITTEN, ACKED})  # outcomes that are listed only while there is room
DUE_NS = 1_000_000_000  # after the last write, what is not with the kernel is QUEUED


Delivery = tuple[int, int, str, int, bytes, str]
"""Outcome, sid, user, latency in us, the ack's data and content type."""


class PushJob:
    """One push on this node, from its first write to its answer; receives the outcomes of its sessions."""

    __slots__ = (
        "absent",
        "ack",
        "answer",
        "answered",
        "clock",
        "deliveries",
        "expires_ns",
        "frames",
        "listed",
        "owing",
        "push",
        "received_at_ns",
        "receivers",
        "tally",
        "target",
        "unacked",
        "written_all",
    )

    def __init__(
        self,
        push: node_pb2.Push,
        receivers: Collection[Session],
        age_ns: int,
        clock: Callable[[], int],
        answer: Callable[[node_pb2.PushAnswer], None],
        ack: int | None = None,
    ) -> None:
        self.push = push
        self.ack = ack  # clients that can are asked to answer under this number
        self.target = target_of(push.receivers)
        excepted = frozenset(push.except_sessions)
        self.receivers = iter([session for session in receivers if session.sid not in excepted])
        self.frames: dict[str, bytes] = {}
        self.clock = clock
        self.answer = answer
        self.received_at_ns = clock() - age_ns  # the router's receipt, on this node's clock
        self.expires_ns = self.received_at_ns + push.ttl_ms * 1_000_000
        self.tally: dict[int, int] = {}
        self.deliveries: list[Delivery] = []
        self.owing: set[Session] = set()  # whose frame is not with the kernel yet
        self.unacked: dict[Session, int] = {}  # who was written to, and when, and has not answered
        self.absent = False  # a receiver turned out not to be there
        self.written_all = False
        self.answered = False

    def settle(self, session: Session, outcome: int) -> None:
        if session in self.owing:
            self.owing.discard(session)
            self._settled(session, outcome)
            self._answer_if_complete()

    def acked(self, session: Session, data: bytes, content_type: str) -> None:
        """The client has answered. Its frame may still be owed: an ack proves more than the kernel's word."""
        if session in self.owing or session in self.unacked:
            self.owing.discard(session)
            self.unacked.pop(session, None)
            self._record(session, ACKED, self.clock(), data, content_type)
            self._answer_if_complete()

    def due_ns(self) -> int:
        """When the report is due, however many still owe something, on this node's clock."""
        return (
            self.received_at_ns + self.push.ack_timeout_ms * 1_000_000
            if self.ack is not None
            else self.clock() + DUE_NS
        )

    def step(self, budget: Budget, counters: Counters) -> list[Session]:
        """Write one slice. The answer lists receivers that were over their budget: they must be closed."""
        slow = self._write_slice(budget, counters)
        if length_hint(self.receivers) == 0:
            self.written_all = True
            self._answer_if_complete()
        return slow

    def _write_slice(self, budget: Budget, counters: Counters) -> list[Session]:
        """The hot path of a fan-out: the usual case, written at once and no ack wanted, is counted here and not by
        `_settled`, which saves a set, two clocks and four calls a receiver (docs/performance.md)."""
        slow: list[Session] = []
        expired = self.clock() >= self.expires_ns
        plain, room, frames = self.ack is None, self.push.max_deliveries, self.frames
        written = 0
        try:
            for session in islice(self.receivers, SLICE):
                if expired:
                    counters.expired += 1
                    self._record(session, EXPIRED, self.clock())
                    continue
                outcome = session.write(frames.get(session.codec.name) or self._frame(session.codec), self, budget)
                if outcome == WRITTEN and plain and len(self.deliveries) >= room:
                    written += 1
                elif not outcome:
                    self.owing.add(session)
                    counters.frames_written += 1
                elif outcome == OFFLINE:
                    self.absent = True  # it is closing: no live session of the target any more
                else:
                    self._settled(session, outcome)
                    counters.frames_written += outcome == WRITTEN
                    counters.dropped_slow += outcome == DROPPED_SLOW
                    if outcome == DROPPED_SLOW:
                        slow.append(session)
        except Exception:
            self._record(session, UNREACHABLE, self.clock())
            raise
        finally:
            if written:
                self.tally[WRITTEN] = self.tally.get(WRITTEN, 0) + written
                counters.frames_written += written
        return slow

    def abandon(self) -> None:
        """Writing has failed by a fault of ours: what became of the rest is unknown."""
        now = self.clock()
        for session in (*self.owing, *self.receivers):
            self._record(session, UNREACHABLE, now)
        self.owing.clear()
        self.finalize()

    def finalize(self) -> None:
        """The report is due: who still owes a verdict is QUEUED, who has not answered stays WRITTEN."""
        now = self.clock()
        for session in self.owing:
            self._record(session, QUEUED, now)
        for session, written_ns in self.unacked.items():
            self._record(session, WRITTEN, written_ns)
        self.owing.clear()
        self.unacked.clear()
        self.written_all = True
        self._answer_if_complete()

    def _frame(self, codec: Codec) -> bytes:
        frame = self.frames.get(codec.name)
        if frame is None:
            push = self.push
            receivers = push.receivers
            file = receivers.file if receivers.WhichOneof("to") == "file" else ""
            pushed = Pushed(push.event, push.data, push.content_type, push.push_id, file, self.ack, push.traceparent)
            frame = self.frames[codec.name] = codec.push(pushed)
        return frame

    def _settled(self, session: Session, outcome: int) -> None:
        if outcome == WRITTEN and self.ack is not None and session.codec.acks:
            self.unacked[session] = self.clock()
        else:
            self._record(session, outcome, self.clock())

    def _record(self, session: Session, outcome: int, at_ns: int, data: bytes = b"", content_type: str = "") -> None:
        self.tally[outcome] = self.tally.get(outcome, 0) + 1
        if outcome in GOOD and len(self.deliveries) >= self.push.max_deliveries:
            return
        latency_us = max(0, at_ns - self.received_at_ns) // 1000
        self.deliveries.append((outcome, session.sid, session.user, latency_us, data, content_type))

    def _answer_if_complete(self) -> None:
        if self.written_all and not self.owing and not self.unacked and not self.answered:
            self.answered = True
            self.answer(self._message())

    def _message(self) -> node_pb2.PushAnswer:
        nobody = self.absent and not self.tally
        message = node_pb2.PushAnswer(call=self.push.call, verdict=node_pb2.NOT_MINE if nobody else node_pb2.DONE)
        for outcome, sessions in self.tally.items():
            message.counts.add(outcome=outcome, sessions=sessions)
        if len(self.tally) > 1:
            self.deliveries.sort(key=lambda delivery: delivery[0] in GOOD)  # the router refines "worst first"
        add = message.deliveries.add  # a made one that is appended would be copied
        for outcome, sid, user, latency_us, data, content_type in islice(self.deliveries, self.push.max_deliveries):
            listed = add(session=sid, user=user, outcome=outcome, latency_us=latency_us)
            if data:
                listed.ack_data, listed.ack_content_type = data, content_type
        return message


class Turn(NamedTuple):
    """What one slice did: whose job it was, whom it found over budget, and what failed."""

    job: PushJob
    slow: list[Session]
    error: Exception | None


class Fanout:
    """All pushes that are being written on this node, in an order that keeps each target's."""

    def __init__(self) -> None:
        self._running: dict[object, deque[PushJob]] = {}  # per target: the job being written, then those behind it
        self._turns: deque[PushJob] = deque()  # who writes the next slice

    def add(self, job: PushJob) -> None:
        """A new push; it is written by `turn`."""
        line = self._running.get(job.target)
        if line is None:
            self._running[job.target] = deque((job,))
            self._turns.append(job)
        else:
            line.append(job)

    def turn(self, budget: Budget, counters: Counters) -> Turn | None:
        """Write one slice of the next job. None when there is none left.

        A job that fails is answered and taken out: it must not hold up what comes behind it.
        """
        if not self._turns:
            return None
        job = self._turns.popleft()
        try:
            turn = Turn(job, job.step(budget, counters), None)
        except Exception as error:
            job.abandon()
            turn = Turn(job, [], error)
        if not job.written_all:
            self._turns.append(job)
            return turn
        line = self._running[job.target]
        line.popleft()
        if line:
            self._turns.append(line[0])
        else:
            del self._running[job.target]
        return turn


def target_of(receivers: node_pb2.Receivers) -> object:
    """What two pushes must share to have an order."""
    kind = receivers.WhichOneof("to")
    if kind == "sessions":
        return ("sessions", tuple(receivers.sessions.sids))
    return (kind, getattr(receivers, kind) if kind else None)
