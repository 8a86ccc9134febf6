"""Core: which pushes this node has written, and to whom, so that a repeat is not written twice.

A caller that does not know what became of a push sends it again with the same push_id. What each session gets then:

* it was written to, or has acknowledged: DUPLICATE, nothing is written;
* a try may still write to it (a slice that is to come, a held or QUEUED frame, an ack that is awaited): the repeat
  *joins* that try and reports its outcome;
* otherwise, also after an outcome that wrote nothing (OFFLINE, EXPIRED, DROPPED_SLOW): the repeat writes to it.

Remembered for a time and within a number of bytes: beyond that the oldest is forgotten, which is counted
(docs/design.md, "Order, healing, deadlines, dedup").
"""

from array import array
from collections import deque
from collections.abc import Sequence

import msgspec

from gateway.delivery.push_job import GOOD, PushJob
from gateway.outcome import ACKED, DUPLICATE, QUEUED, UNREACHABLE, WRITTEN
from gateway.sessions.session import Session
from observability.counters import Counters
from runtime.process.setting_types import Bytes, Seconds

KnownPush = tuple[str, str, int]
"""A push that was written to a session: its caller, its push_id, and its age in ms."""

RECORD_BYTES = 330  # of one push_id with one receiver, measured (tests/unit/gateway/delivery/test_dedup.py)
SESSION_BYTES = 8  # of each receiver


class DedupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.dedup]`: how long pushes are remembered, so that a repeat is not written twice."""

    window: Seconds = 60.0  # Seconds for which a push_id is remembered.
    bytes: Bytes = 67_108_864  # Bytes for what is remembered; beyond them the oldest is forgotten early, and counted.


class PushRecord:
    """One push_id: whom its tries wrote to, and the tries that may still write."""

    __slots__ = ("began_ns", "key", "size", "tries", "unknown", "written")

    def __init__(self, key: object, began_ns: int) -> None:
        self.key = key
        self.began_ns = began_ns
        self.size = 0  # bytes
        self.tries: tuple[PushJob, ...] = ()  # without an answer, or with sessions that were reported QUEUED
        self.written: Sequence[int] = ()  # session ids
        self.unknown: tuple[int, ...] = ()  # session ids whose write has failed by a fault of ours

    def on_answered(self, job: PushJob) -> None:
        """A try has its answer: remember whom it wrote to. A session that is QUEUED may still be written to."""
        written = [session.sid for session in job.sessions]
        if job.absent or not job.tally.keys() <= GOOD:
            bad = {delivery[1]: delivery[0] for delivery in job.deliveries if delivery[0] not in GOOD}
            self.unknown += tuple(sid for sid in written if bad.get(sid) == UNREACHABLE)  # not what a repeat has found
            absent = frozenset(job.absent)
            written = [sid for sid in written if sid not in bad and sid not in absent]
        self.add_written(written)
        if not job.queued:
            self._remove_try(job)

    def notify_followers(self, job: PushJob) -> None:
        """See `TryObserver`."""
        if job.followers:
            _notify_followers(job)

    def on_settled(self, job: PushJob, session: Session, outcome: int) -> None:
        """A session that was reported QUEUED has its outcome now."""
        job.queued.discard(session)
        if outcome == WRITTEN:
            self.add_written([session.sid])
        if not job.queued:
            self._remove_try(job)
        for follower in job.followers or ():
            follower.on_joined(session, outcome)

    def is_pending(self, sid: int) -> bool:
        """Whether a try may still write to this session."""
        return any(session.sid == sid for job in self.tries for session in job.pending_sessions())

    def add_written(self, sids: list[int]) -> None:
        """These sessions have it. The smallest that holds them: most pushes have one receiver."""
        if len(sids) == 1 and not self.written:
            self.written = (sids[0],)
        elif sids:
            if not isinstance(self.written, array):
                self.written = array("Q", self.written)
            self.written.extend(sids)

    def _remove_try(self, job: PushJob) -> None:
        self.tries = tuple(other for other in self.tries if other is not job) if len(self.tries) > 1 else ()


class Dedup:
    """The pushes that this node remembers, oldest first."""

    def __init__(self, settings: DedupSettings, counters: Counters) -> None:
        self._window_ns = round(settings.window * 1e9)
        self._max_bytes = settings.bytes
        self._counters = counters
        self._records: dict[object, PushRecord] = {}
        self._oldest_first: deque[PushRecord] = deque()
        self.bytes = 0  # that are taken, about
        self._evicted: tuple[int, int] | None = None  # when a record was last forgotten early, and its age then

    def __len__(self) -> int:
        return len(self._records)

    def take(self, job: PushJob, now_ns: int) -> None:
        """A new job, before its first slice: remember it, and take out of it whom an earlier try has written to."""
        push = job.push
        key = (push.caller, push.push_id) if push.caller else push.push_id
        if self._oldest_first and self._oldest_first[0].began_ns <= now_ns - self._window_ns:
            self.expire(now_ns)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = PushRecord(key, now_ns)
            self._oldest_first.append(record)
            self._grow(record, RECORD_BYTES + SESSION_BYTES * len(job.sessions))
        else:
            self._take_repeat(job, record)
            self._grow(record, SESSION_BYTES * len(job.sessions))
        job.record = record
        record.tries += (job,)
        if self.bytes > self._max_bytes:
            self._evict(now_ns)

    def written_to(self, sid: int, since_ns: int, now_ns: int) -> list[KnownPush]:
        """What was written to a session, or may still be, of the pushes that came since then: the newest first."""
        found: list[KnownPush] = []
        for record in reversed(self._oldest_first):
            if record.began_ns < since_ns:
                break
            if sid in record.written or record.is_pending(sid):
                caller, push_id = record.key if isinstance(record.key, tuple) else ("", record.key)
                found.append((str(caller), str(push_id), (now_ns - record.began_ns) // 1_000_000))
        return found

    def remember(self, sid: int, pushes: Sequence[KnownPush], now_ns: int) -> None:
        """Another node has written these to a session that it gave to this one."""
        for caller, push_id, _age_ms in pushes:
            key = (caller, push_id) if caller else push_id
            record = self._records.get(key)
            if record is None:
                record = self._records[key] = PushRecord(key, now_ns)
                self._oldest_first.append(record)
                self._grow(record, RECORD_BYTES)
            record.add_written([sid])
            self._grow(record, SESSION_BYTES)

    def window(self, now_ns: int) -> float:
        """Seconds for which pushes are remembered, as things are: less than configured while memory is short."""
        if self._evicted is None or now_ns - self._evicted[0] > self._window_ns:
            return self._window_ns / 1e9
        return self._evicted[1] / 1e9

    def expire(self, now_ns: int) -> None:
        """Forget what is older than the window."""
        until = now_ns - self._window_ns
        while self._oldest_first and self._oldest_first[0].began_ns <= until:
            self._forget_oldest()

    def _evict(self, now_ns: int) -> None:
        while self.bytes > self._max_bytes:
            age = now_ns - self._forget_oldest().began_ns
            self._evicted = now_ns, age
            self._counters.dedup_evicted += 1

    def _forget_oldest(self) -> PushRecord:
        record = self._oldest_first.popleft()
        del self._records[record.key]
        self.bytes -= record.size
        return record

    def _grow(self, record: PushRecord, size: int) -> None:
        record.size += size
        self.bytes += size

    def _take_repeat(self, job: PushJob, record: PushRecord) -> None:
        written, unknown = set(record.written), set(record.unknown)
        pending = {session: earlier for earlier in record.tries for session in earlier.pending_sessions()}
        fresh: list[Session] = []
        for session in job.sessions:
            if session.sid in written:
                self._counters.duplicates += 1
                job.record_known(session, DUPLICATE)
            elif session.sid in unknown:
                job.record_known(session, UNREACHABLE)
            elif session in pending:
                job.join(session, pending[session])
            else:
                fresh.append(session)
        job.set_sessions(fresh)


def _notify_followers(job: PushJob) -> None:
    """Tell the repeats that have joined this try what became of their sessions, QUEUED ones later."""
    listed = {delivery[1]: delivery for delivery in job.deliveries}
    good = WRITTEN if WRITTEN in job.tally else ACKED
    for follower in job.followers or ():
        for session in follower.joined_to(job):
            delivery = listed.get(session.sid)
            if session.sid in job.absent:
                follower.on_joined_absent(session)
            elif delivery is None:  # one of more than the answer lists
                follower.on_joined(session, good)
            elif delivery[0] != QUEUED:
                follower.on_joined(session, delivery[0], delivery[4], delivery[5])
