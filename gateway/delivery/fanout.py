"""Core: one push becomes one frame per codec, is given to every receiver, and each receiver's outcome is gathered.

A push is encoded at most once per codec and shared, its ack number included: that comes from one counter per node. A
large fan-out is written in slices, so that other pushes interleave; two pushes to the same target never overtake each
other, because the later one waits for the earlier one's last slice (design §3, §5 "Order"). Outcomes that are not known
at once are owed: a connection whose kernel buffer is full tells later, a client's ack comes when it comes, and what is
still owed when the report is due is QUEUED, or stays WRITTEN without an ack (api.md, "Outcomes").
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator

from gateway.delivery.outcome import ACKED, DROPPED_SLOW, EXPIRED, QUEUED, WRITTEN
from gateway.sessions.budget import Budget
from gateway.sessions.session import Session
from gateway.wire.ports import Codec, Pushed
from homing.internal.v1 import node_pb2
from observability.counters import Counters

SLICE = 256  # sockets written before others get a turn
GOOD = frozenset({WRITTEN, ACKED})  # outcomes that are listed only while there is room
DUE_NS = 1_000_000_000  # after the last write, what is not with the kernel is QUEUED


class Job:
    """One push on this node, from its first write to its answer: the `Debt` of the sessions that owe a verdict."""

    __slots__ = (
        "ack",
        "answer",
        "answered",
        "born_ns",
        "clock",
        "deliveries",
        "expires_ns",
        "frames",
        "listed",
        "owing",
        "push",
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
        self.receivers: Iterator[Session] = iter([s for s in receivers if s.sid not in excepted])
        self.frames: dict[str, bytes] = {}
        self.clock = clock
        self.answer = answer
        self.born_ns = clock() - age_ns  # the router's receipt, on this node's clock
        self.expires_ns = self.born_ns + push.ttl_ms * 1_000_000
        self.tally: dict[int, int] = {}
        self.deliveries: list[node_pb2.Delivered] = []
        self.owing: set[Session] = set()  # whose frame is not with the kernel yet
        self.unacked: dict[Session, int] = {}  # who was written to, and when, and has not answered
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
        return self.born_ns + self.push.ack_timeout_ms * 1_000_000 if self.ack is not None else self.clock() + DUE_NS

    def step(self, budget: Budget, counters: Counters) -> list[Session]:
        """Write one slice. The answer lists receivers that were over their budget: they must be closed."""
        slow: list[Session] = []
        for _ in range(SLICE):
            session = next(self.receivers, None)
            if session is None:
                self.written_all = True
                self._answer_if_complete()
                break
            outcome = self._write(session, budget)
            if outcome == WRITTEN or not outcome:
                counters.frames_written += 1
            elif outcome == DROPPED_SLOW:
                counters.dropped_slow += 1
                slow.append(session)
            elif outcome == EXPIRED:
                counters.expired += 1
        return slow

    def close_books(self) -> None:
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

    def _write(self, session: Session, budget: Budget) -> int:
        if self.clock() >= self.expires_ns:
            self._record(session, EXPIRED, self.clock())
            return EXPIRED
        self.owing.add(session)
        outcome = session.write(self._frame(session.codec), self, budget)
        if outcome:
            self.owing.discard(session)
            self._settled(session, outcome)
        return outcome

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
        delivered = node_pb2.Delivered(
            session=session.sid, user=session.user, outcome=outcome, latency_us=max(0, at_ns - self.born_ns) // 1000
        )
        if data:
            delivered.ack_data, delivered.ack_content_type = data, content_type
        self.deliveries.append(delivered)

    def _answer_if_complete(self) -> None:
        if self.written_all and not self.owing and not self.unacked and not self.answered:
            self.answered = True
            self.answer(self._message())

    def _message(self) -> node_pb2.PushAnswer:
        message = node_pb2.PushAnswer(call=self.push.call, verdict=node_pb2.DONE)
        for outcome, sessions in self.tally.items():
            message.counts.add(outcome=outcome, sessions=sessions)
        if len(self.tally) > 1:
            self.deliveries.sort(key=lambda delivered: delivered.outcome in GOOD)  # the router refines "worst first"
        message.deliveries.extend(self.deliveries[: self.push.max_deliveries])
        return message


class Fanout:
    """All pushes that are being written on this node, in an order that keeps each target's."""

    def __init__(self) -> None:
        self._running: dict[object, deque[Job]] = {}  # per target: the job being written, then those behind it
        self._turns: deque[Job] = deque()  # who writes the next slice

    def add(self, job: Job) -> None:
        """A new push; it is written by `turn`."""
        line = self._running.get(job.target)
        if line is None:
            self._running[job.target] = deque((job,))
            self._turns.append(job)
        else:
            line.append(job)

    def turn(self, budget: Budget, counters: Counters) -> tuple[Job, list[Session]] | None:
        """Write one slice of the next job: the job and whom it found over budget. None when there is none left."""
        if not self._turns:
            return None
        job = self._turns.popleft()
        slow = job.step(budget, counters)
        if not job.written_all:
            self._turns.append(job)
            return job, slow
        line = self._running[job.target]
        line.popleft()
        if line:
            self._turns.append(line[0])
        else:
            del self._running[job.target]
        return job, slow


def target_of(receivers: node_pb2.Receivers) -> object:
    """What two pushes must share to have an order."""
    kind = receivers.WhichOneof("to")
    if kind == "sessions":
        return ("sessions", tuple(receivers.sessions.sids))
    return (kind, getattr(receivers, kind) if kind else None)
