"""Core: one push on this node: one frame per codec for every receiver, and each receiver's outcome, gathered.

A push is encoded at most once per codec and shared, its ack number included: that comes from one counter per node.
Outcomes that are not known at once are pending: a blocked connection settles its pushes when the kernel has taken
them, an ack arrives later, and what is pending when the report is due is QUEUED, or stays WRITTEN without an ack
(docs/api.md, "Outcomes").
"""

from collections.abc import Callable, Collection
from itertools import islice
from operator import length_hint
from typing import Protocol

from gateway.outcome import ABSENT, ACKED, DROPPED_SLOW, DUPLICATE, EXPIRED, OFFLINE, QUEUED, UNREACHABLE, WRITTEN
from gateway.sessions.session import Session
from gateway.wire.encoding import Encoding
from gateway.wire.values import PushedMessage
from homing.internal.v1 import node_pb2
from observability.counters import Counters

SLICE = 256  # sockets written before others get a turn
GOOD = frozenset({WRITTEN, ACKED, DUPLICATE})  # outcomes that are listed only while there is room
DUE_NS = 1_000_000_000  # after the last write, what is not with the kernel is QUEUED

OnAnswer = Callable[[node_pb2.PushAnswer], None]
NO_SESSIONS: set[Session] = set()  # never changed
Delivery = tuple[int, int, str, int, bytes, str]
"""Outcome, sid, user, latency in us, the ack's data and content type."""


class TryObserver(Protocol):
    """Remembers whom a push_id was written to (`gateway.delivery.dedup.PushRecord`)."""

    def on_answered(self, job: "PushJob") -> None:
        """The job has given its answer."""
        ...

    def notify_followers(self, job: "PushJob") -> None:
        """Tell the repeats that have joined the job its outcomes."""
        ...

    def on_settled(self, job: "PushJob", session: Session, outcome: int) -> None:
        """A session that the answer reported as QUEUED has its outcome."""
        ...


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
        "followers",
        "frames",
        "joined",
        "owing",
        "push",
        "queued",
        "received_at_ns",
        "receivers",
        "record",
        "sessions",
        "size",
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
        answer: OnAnswer,
        ack: int | None = None,
    ) -> None:
        self.push = push
        self.ack = ack  # clients that can are asked to answer under this number
        self.target = target_of(push.receivers)
        excepted = frozenset(push.except_sessions)
        self.set_sessions([session for session in receivers if session.sid not in excepted])
        self.frames: dict[Encoding, bytes] = {}
        self.size = len(push.data)
        self.clock = clock
        self.answer = answer
        self.received_at_ns = clock() - age_ns  # the router's receipt, on this node's clock
        self.expires_ns = self.received_at_ns + push.ttl_ms * 1_000_000
        self.tally: dict[int, int] = {}
        self.deliveries: list[Delivery] = []
        self.owing: set[Session] = set()  # whose frames the kernel has not taken yet
        self.unacked: dict[Session, int] = {}  # who was written to, and when, and has not answered
        self.absent: tuple[int, ...] = ()  # receivers that turned out not to be there
        self.written_all = False
        self.answered = False
        # For dedup (`gateway.delivery.dedup`), only where the caller chose the push_id:
        self.record: TryObserver | None = None
        self.joined: dict[Session, PushJob] | None = None  # whose outcome an earlier try of this push_id will tell
        self.followers: list[PushJob] | None = None  # repeats that have joined this one
        self.queued: set[Session] = NO_SESSIONS  # reported QUEUED, not settled yet

    def set_sessions(self, sessions: list[Session]) -> None:
        """Whom this job writes to."""
        self.sessions = sessions
        self.receivers = iter(sessions)

    def settle(self, session: Session, outcome: int) -> None:
        if session in self.owing:
            self.owing.discard(session)
            if outcome == ABSENT:
                self.absent += (session.sid,)
            else:
                self._settled(session, outcome)
            self._answer_if_complete()
        elif session in self.queued and self.record is not None:
            self.record.on_settled(self, session, outcome)

    def acked(self, session: Session, data: bytes, content_type: str) -> bool:
        """The client has answered. Its frame may still be pending: an ack proves more than a write."""
        awaited = session in self.owing or session in self.unacked
        if awaited:
            self.owing.discard(session)
            self.unacked.pop(session, None)
            self._record(session, ACKED, self.clock(), data, content_type)
            self._answer_if_complete()
        return awaited

    def find_unacked(self, sid: int) -> Session | None:
        """See `gateway.sessions.acks.Acked`."""
        return next((session for session in (*self.unacked, *self.owing) if session.sid == sid), None)

    @property
    def push_id(self) -> str:
        """See `gateway.sessions.session.OutcomeSink`."""
        return self.push.push_id

    @property
    def repeat_key(self) -> tuple[str, str] | None:
        """See the same."""
        return (self.push.caller, self.push.push_id) if self.push.dedup else None

    def is_expired(self) -> bool:
        """Whether its ttl has passed."""
        return self.clock() >= self.expires_ns

    def due_ns(self) -> int:
        """When the report is due, however many have no outcome yet, on this node's clock."""
        return (
            self.received_at_ns + self.push.ack_timeout_ms * 1_000_000
            if self.ack is not None
            else self.clock() + DUE_NS
        )

    def step(self, counters: Counters) -> list[Session]:
        """Write one slice. The answer lists receivers that were over their budget."""
        slow = self._write_slice(counters)
        if length_hint(self.receivers) == 0:
            self.written_all = True
            self._answer_if_complete()
        return slow

    def _write_slice(self, counters: Counters) -> list[Session]:
        """The hot path of a fan-out: the usual case, written at once and no ack requested, is counted here and not by
        `_settled`, which saves a set, two clocks and four calls a receiver (docs/performance.md)."""
        slow: list[Session] = []
        expired = self.is_expired()
        plain, room = self.ack is None, self.push.max_deliveries
        written = 0
        try:
            for session in islice(self.receivers, SLICE):
                if expired:
                    counters.expired += 1
                    self._record(session, EXPIRED, self.clock())
                    continue
                outcome = session.write(self)
                if outcome == WRITTEN and plain and len(self.deliveries) >= room:
                    written += 1
                elif not outcome:
                    self.owing.add(session)
                    counters.frames_written += 1
                elif outcome == OFFLINE:
                    self.absent += (session.sid,)  # it is closing: no live session of the target any more
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
        """The report is due: a session without an outcome is QUEUED, who has not answered stays WRITTEN."""
        now = self.clock()
        for session in self.owing:
            self._record(session, QUEUED, now)
        for session, written_ns in self.unacked.items():
            self._record(session, WRITTEN, written_ns)
        for earlier in set((self.joined or {}).values()):
            outcomes = earlier.outcomes_by_now()
            for session in self.joined_to(earlier):
                if session.sid in earlier.absent:
                    self.absent += (session.sid,)
                else:
                    self._record(session, outcomes[session], now)
            earlier.followers = [follower for follower in earlier.followers or () if follower is not self]
        self.joined = None
        if self.record is not None:
            self.queued = self.owing.copy()
        self.owing.clear()
        self.unacked.clear()
        self.written_all = True
        self._answer_if_complete()

    # Repeats of a push_id -------------------------------------------------------------------------------------------

    def record_known(self, session: Session, outcome: int) -> None:
        """The outcome of a session to which nothing is written."""
        self._record(session, outcome, self.clock())

    def join(self, session: Session, earlier: "PushJob") -> None:
        """An earlier try of the same push_id will tell the outcome of this session (`on_joined`)."""
        self.joined = self.joined or {}
        self.joined[session] = earlier
        earlier.followers = earlier.followers or []
        if self not in earlier.followers:
            earlier.followers.append(self)

    def joined_to(self, earlier: "PushJob") -> list[Session]:
        """The sessions whose outcome `earlier` will tell."""
        return [session for session, job in (self.joined or {}).items() if job is earlier]

    def on_joined(self, session: Session, outcome: int, data: bytes = b"", content_type: str = "") -> None:
        """The earlier try has told the outcome of a session."""
        if self.joined and self.joined.pop(session, None) is not None:
            self._record(session, outcome, self.clock(), data, content_type)
            self._answer_if_complete()

    def on_joined_absent(self, session: Session) -> None:
        """The earlier try did not find a session that was joined to it any more."""
        self.joined = {other: job for other, job in (self.joined or {}).items() if other is not session}
        self.absent += (session.sid,)
        self._answer_if_complete()

    def pending_sessions(self) -> Collection[Session]:
        """The sessions that this try may still write to, or whose ack it awaits."""
        return self.queued if self.answered else self.sessions

    def outcomes_by_now(self) -> dict[Session, int]:
        """What a repeat that has waited long enough reports for the sessions of this try."""
        listed = {sid: outcome for outcome, sid, *_ in self.deliveries}
        otherwise = WRITTEN if self.written_all else QUEUED
        outcomes = {session: listed.get(session.sid, otherwise) for session in self.sessions}
        return outcomes | dict.fromkeys((*self.owing, *self.queued), QUEUED)

    # The answer -----------------------------------------------------------------------------------------------------

    def frame(self, encoding: Encoding) -> bytes:
        """This push as finished frames: made at the first receiver with this encoding, then shared."""
        frame = self.frames.get(encoding)
        if frame is None:
            frame = self.frames[encoding] = encoding.push(self._pushed())
        return frame

    def _pushed(self) -> PushedMessage:
        push = self.push
        file = push.receivers.file if push.receivers.WhichOneof("to") == "file" else ""
        return PushedMessage(push.event, push.data, push.content_type, push.push_id, file, self.ack, push.traceparent)

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
        if self.written_all and not self.owing and not self.unacked and not self.joined and not self.answered:
            self.answered = True
            message = self._message()
            if self.record is not None:  # before the answer, which may take what was read meanwhile, a repeat too
                self.record.on_answered(self)
            self.answer(message)
            if self.record is not None:
                self.record.notify_followers(self)

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


def target_of(receivers: node_pb2.Receivers) -> object:
    """What two pushes must share to have an order."""
    kind = receivers.WhichOneof("to")
    if kind == "sessions":
        return ("sessions", tuple(receivers.sessions.sids))
    return (kind, getattr(receivers, kind) if kind else None)
