"""A repeat of a push_id is written to nobody who got it, joins what may still be written, and writes to the rest."""

import tracemalloc

import pytest

from gateway.delivery.dedup import RECORD_BYTES, Dedup, DedupSettings
from gateway.delivery.push_job import PushJob
from gateway.outcome import ACKED, DROPPED_SLOW, DUPLICATE, EXPIRED, OFFLINE, QUEUED, UNREACHABLE, WRITTEN
from gateway.sessions.session import Session
from homing.internal.v1 import node_pb2
from tests.support.wire import leave, transport_of
from tests.unit.gateway.delivery.test_fanout import Rig, counts, make_push, sessions

SECOND = 1_000_000_000


class DedupRig(Rig):
    def __init__(self, settings: DedupSettings | None = None) -> None:
        super().__init__()
        self.dedup = Dedup(settings or DedupSettings(), self.counters)

    def start(self, receivers: list[Session], ack: int | None = None, **fields: object) -> PushJob:
        """One try, taken as the push writer takes it, and written as far as that goes."""
        fields = {"dedup": True, "ack_timeout_ms": 10_000 if ack else 0} | fields
        job = PushJob(make_push(**fields), receivers, 0, self.clock, self.answers.append, ack)
        self.dedup.take(job, self.now)
        self.fanout.add(job)
        self.run()
        return job

    def outcomes(self) -> list[dict[int, int]]:
        return [counts(answer) for answer in self.answers]


def frames(session: Session) -> int:
    return len(transport_of(session).frames)


def test_a_repeat_is_not_written_again() -> None:
    rig, crowd = DedupRig(), sessions(300)
    for _ in range(3):
        rig.start(crowd)
    assert rig.outcomes() == [{WRITTEN: 300}, {DUPLICATE: 300}, {DUPLICATE: 300}]
    assert {frames(session) for session in crowd} == {1}
    assert rig.counters.duplicates == 600
    assert len(rig.answers[1].deliveries) == 100  # like every good outcome


def test_another_push_id_another_caller_and_a_push_without_dedup_are_written() -> None:
    rig, (one,) = DedupRig(), sessions(1)
    for fields in ({}, {"push_id": "q"}, {"caller": "mail"}, {"caller": "mail", "push_id": "q"}):
        rig.start([one], **fields)
    assert rig.outcomes() == [{WRITTEN: 1}] * 4
    rig.start([one], caller="mail")
    assert rig.outcomes()[4:] == [{DUPLICATE: 1}]


def test_who_came_after_the_first_try_gets_the_repeat() -> None:
    rig, (one, two, three) = DedupRig(), sessions(3)
    rig.start([one, two])
    rig.start([one, two, three])
    rig.start([one, two, three])
    assert rig.outcomes() == [{WRITTEN: 2}, {WRITTEN: 1, DUPLICATE: 2}, {DUPLICATE: 3}]
    assert [frames(session) for session in (one, two, three)] == [1, 1, 1]


def test_a_repeat_excepts_whom_it_excepts() -> None:
    rig, (one, two) = DedupRig(), sessions(2)
    rig.start([one, two])
    rig.start([one, two], except_sessions=[1])
    assert [delivery.session for delivery in rig.answers[1].deliveries] == [2]


def test_an_outcome_that_wrote_nothing_is_tried_again() -> None:
    rig, (expired, closing, slow) = DedupRig(), sessions(3)
    transport_of(closing).closing = (1006, "")
    rig.start([expired], ttl_ms=0)
    rig.start([closing])
    transport_of(slow).stuck = True
    for number in range(100):  # until it is over its budget
        job = rig.start([slow], push_id=f"fill-{number}", data=b'"' + b"x" * 100_000 + b'"')
        if job.answered:
            break
    assert counts(rig.answers[-1]) == {DROPPED_SLOW: 1}
    transport_of(slow).drain()
    transport_of(closing).closing = None
    before = len(rig.answers)
    rig.start([expired])
    rig.start([closing])
    rig.start([slow], push_id=f"fill-{number}")
    assert rig.outcomes()[0] == {EXPIRED: 1}
    assert rig.outcomes()[before:] == [{WRITTEN: 1}] * 3


def test_a_repeat_joins_a_try_that_waits_for_acks_and_gets_the_acks_data() -> None:
    rig, (one, two) = DedupRig(), sessions(2)
    first = rig.start([one, two], ack=7)
    rig.start([one, two], ack=8)
    assert rig.answers == []
    assert frames(one) == 1
    first.acked(one, b"[1]", "text/x")
    first.acked(two, b"", "")
    assert rig.outcomes() == [{ACKED: 2}, {ACKED: 2}]
    assert {(d.session, d.ack_data, d.ack_content_type) for d in rig.answers[0].deliveries} == {
        (1, b"[1]", "text/x"),
        (2, b"", ""),
    }
    rig.start([one, two], ack=9)
    assert rig.outcomes()[2:] == [{DUPLICATE: 2}]


def test_a_repeat_reports_what_it_knows_when_its_own_time_is_over() -> None:
    rig, (mute, stuck, fresh) = DedupRig(), sessions(3)
    transport_of(stuck).stuck = True
    first = rig.start([mute, stuck], ack=7)
    repeat = rig.start([mute, stuck, fresh])
    assert not repeat.answered
    repeat.finalize()
    assert rig.outcomes() == [{WRITTEN: 2, QUEUED: 1}]
    first.finalize()
    assert rig.outcomes()[1:] == [{WRITTEN: 1, QUEUED: 1}]


def test_a_queued_frame_may_still_be_written_so_a_repeat_joins_it() -> None:
    rig, (one, two) = DedupRig(), sessions(2)
    transport_of(one).stuck = transport_of(two).stuck = True
    rig.start([one, two]).finalize()
    repeat, late = rig.start([one, two]), rig.start([one, two])
    late.finalize()
    assert rig.outcomes() == [{QUEUED: 2}, {QUEUED: 2}]
    transport_of(one).drain()
    assert not repeat.answered
    leave(two)
    assert rig.outcomes()[2:] == [{WRITTEN: 1, OFFLINE: 1}]
    rig.start([one])
    assert rig.outcomes()[3:] == [{DUPLICATE: 1}]
    assert frames(one) == 1


def test_of_more_acks_than_are_listed_a_repeat_learns_what_is_certain() -> None:
    rig, crowd = DedupRig(), sessions(4)
    first = rig.start(crowd, ack=7, max_deliveries=1)
    rig.start(crowd, ack=8, max_deliveries=1)
    for session in crowd[:-1]:
        first.acked(session, b"", "")
    first.finalize()
    assert rig.outcomes() == [{ACKED: 3, WRITTEN: 1}, {ACKED: 1, WRITTEN: 3}]
    all_acked = rig.start(crowd, ack=9, push_id="q", max_deliveries=0)
    rig.start(crowd, ack=10, push_id="q", max_deliveries=0)
    for session in crowd:
        all_acked.acked(session, b"", "")
    assert rig.outcomes()[2:] == [{ACKED: 4}, {ACKED: 4}]


def test_a_session_that_was_closing_counts_in_neither_report() -> None:
    rig, (acker, closing) = DedupRig(), sessions(2)
    transport_of(closing).closing = (1006, "")
    first = rig.start([closing, acker], ack=7)
    rig.start([closing, acker], ack=8)
    first.acked(acker, b"", "")
    assert rig.outcomes() == [{ACKED: 1}, {ACKED: 1}]


def test_what_a_fault_of_ours_leaves_unknown_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    rig, (one, two) = DedupRig(), sessions(2)
    with monkeypatch.context() as broken:
        broken.setattr(PushJob, "_write_slice", lambda *_: 1 / 0)
        rig.start([one, two])
    rig.start([one, two])
    assert rig.outcomes() == [{UNREACHABLE: 2}, {UNREACHABLE: 2}]
    assert frames(one) == 0


def test_the_window_is_over() -> None:
    rig, (one,) = DedupRig(DedupSettings(window=60.0)), sessions(1)
    rig.start([one])
    rig.now = 60 * SECOND - 1
    rig.start([one])
    rig.now = 60 * SECOND
    rig.start([one])
    assert rig.outcomes() == [{WRITTEN: 1}, {DUPLICATE: 1}, {WRITTEN: 1}]
    assert rig.counters.dedup_evicted == 0
    rig.now = 120 * SECOND
    rig.dedup.expire(rig.now)
    assert (len(rig.dedup), rig.dedup.bytes) == (0, 0)


def test_memory_is_bounded_and_what_is_forgotten_early_is_counted() -> None:
    rig, crowd = DedupRig(DedupSettings(bytes=10 * RECORD_BYTES)), sessions(1)
    assert rig.dedup.window(rig.now) == 60.0
    for number in range(20):
        rig.now = number * SECOND
        rig.start(crowd, push_id=str(number))
        assert rig.dedup.bytes <= 10 * RECORD_BYTES
    assert len(rig.dedup) == 9
    assert rig.counters.dedup_evicted == 11
    assert rig.dedup.window(rig.now) == 9.0  # seconds: what is really kept
    rig.start(crowd, push_id="19")
    rig.start(crowd, push_id="3")
    assert rig.outcomes()[-2:] == [{DUPLICATE: 1}, {WRITTEN: 1}]
    assert rig.dedup.window(rig.now + 61 * SECOND) == 60.0


def test_a_push_that_is_larger_than_everything_is_written_and_forgotten() -> None:
    rig, crowd = DedupRig(DedupSettings(bytes=1000)), sessions(200)
    transport_of(crowd[0]).stuck = True
    rig.start(crowd).finalize()
    transport_of(crowd[0]).drain()
    rig.start(crowd)
    assert rig.outcomes() == [{WRITTEN: 199, QUEUED: 1}, {WRITTEN: 200}]


@pytest.mark.parametrize("receivers", [1, 1000])
def test_the_bytes_are_those_that_it_takes(receivers: int) -> None:
    pushes = 2000 if receivers == 1 else 50
    rig, crowd = DedupRig(), sessions(receivers)
    made = [make_push(push_id=f"{number:022}", dedup=True, max_deliveries=0) for number in range(pushes)]
    raw = [push.SerializeToString() for push in made]
    tracemalloc.start()
    try:
        for one in raw:
            job = PushJob(node_pb2.Push.FromString(one), crowd, 0, rig.clock, lambda _answer: None)
            rig.dedup.take(job, 10**12)
            job.finalize()
            job.settle(crowd[0], WRITTEN)
        del job
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.6 < taken / rig.dedup.bytes < 1.1, (taken / pushes, rig.dedup.bytes / pushes)


def test_a_repeat_that_joined_before_the_report_waits_on_for_who_is_queued() -> None:
    rig, (one, two) = DedupRig(), sessions(2)
    transport_of(one).stuck = transport_of(two).stuck = True
    first = rig.start([one, two])
    rig.start([one], except_sessions=[])
    first.finalize()
    assert rig.outcomes() == [{QUEUED: 2}]
    transport_of(two).drain()  # which the repeat was not for
    transport_of(one).drain()
    assert rig.outcomes()[1:] == [{WRITTEN: 1}]


def test_what_was_written_to_a_session_goes_along_when_another_node_takes_it_over() -> None:
    rig, (one, other) = DedupRig(), sessions(2)
    rig.start([one], push_id="old")
    rig.now += 2 * SECOND
    rig.start([one], push_id="new", caller="mail")
    rig.start([other], push_id="not mine")
    rig.now += SECOND
    known = rig.dedup.written_to(one.sid, rig.now - 2 * SECOND, rig.now)
    assert known == [("mail", "new", 1000)]
    known = rig.dedup.written_to(one.sid, 0, rig.now)
    assert [push_id for _, push_id, _ in known] == ["new", "old"]
    new_owner = DedupRig()
    new_owner.start([other], push_id="old")
    new_owner.dedup.remember(one.sid, known, new_owner.now)
    for caller, push_id in (("mail", "new"), ("", "old"), ("", "new")):
        new_owner.start([one], push_id=push_id, caller=caller)
    assert new_owner.outcomes()[1:] == [{DUPLICATE: 1}, {DUPLICATE: 1}, {WRITTEN: 1}]
