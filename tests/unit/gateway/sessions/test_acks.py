"""Acks: asked for under one number, told once, and never waited for longer than was said."""

from gateway.delivery.push_job import PushJob
from gateway.outcome import ACKED, QUEUED, WRITTEN
from gateway.sessions.acks import Acks
from gateway.sessions.session import Session
from gateway.wire.bare import Bare
from tests.support.wire import transport_of
from tests.unit.gateway.delivery.test_fanout import Rig, counts, make_push, sessions


def start(rig: Rig, receivers: list[Session], ack: int = 7) -> PushJob:
    job = PushJob(make_push(ack_timeout_ms=1000), receivers, 0, rig.clock, rig.answers.append, ack)
    rig.fanout.add(job)
    rig.run()
    return job


def test_the_answer_comes_with_the_last_ack() -> None:
    rig = Rig()
    one, two = sessions(2)
    job = start(rig, [one, two])
    assert b'"ack":7' in transport_of(one).frames[0]
    assert transport_of(one).frames[0] is transport_of(two).frames[0]
    rig.now = 3_000_000
    job.acked(one, b"[1]", "")
    assert rig.answers == []
    job.acked(one, b"[2]", "")  # a second one is ignored
    job.acked(two, b"", "")
    (answer,) = rig.answers
    assert counts(answer) == {ACKED: 2}
    assert [(d.session, d.ack_data, d.latency_us) for d in answer.deliveries] == [(1, b"[1]", 3000), (2, b"", 3000)]


def test_when_the_time_is_over_who_has_not_answered_stays_written() -> None:
    rig = Rig()
    acker, mute, stuck = sessions(3)
    transport_of(stuck).stuck = True
    job = start(rig, [acker, mute, stuck])
    job.acked(acker, b"1", "")
    rig.now = 1_000_000_000
    assert job.due_ns() == 1_000_000_000
    job.finalize()
    (answer,) = rig.answers
    assert counts(answer) == {ACKED: 1, WRITTEN: 1, QUEUED: 1}
    assert {d.session: d.latency_us for d in answer.deliveries}[mute.sid] == 0  # when it was written
    job.acked(mute, b"late", "")
    assert len(rig.answers) == 1


def test_an_ack_proves_more_than_the_kernels_word() -> None:
    rig = Rig()
    (session,) = sessions(1)
    transport_of(session).stuck = True
    job = start(rig, [session])
    job.acked(session, b"", "")
    transport_of(session).drain()
    assert counts(rig.answers[0]) == {ACKED: 1}


def test_a_client_that_cannot_ack_is_not_waited_for() -> None:
    rig = Rig()
    (session,) = sessions(1, Bare())
    start(rig, [session])
    assert counts(rig.answers[0]) == {WRITTEN: 1}


def test_an_ack_finds_its_push_by_number_while_it_waits() -> None:
    class Push:
        def __init__(self) -> None:
            self.acks: list[bytes] = []

        def acked(self, session: Session, data: bytes, content_type: str) -> bool:
            self.acks.append(data)
            return True

    acks, push = Acks(), Push()
    (session,) = sessions(1)
    first, second = acks.next(), acks.next()
    assert first != second
    acks.wait(first, push)
    assert acks.acked(session, first, b"yes", "")
    assert not acks.acked(session, second, b"no", "")
    acks.forget(first)
    acks.forget(first)
    acks.acked(session, first, b"late", "")
    assert (push.acks, len(acks)) == ([b"yes"], 0)


def test_good_outcomes_are_listed_only_while_there_is_room() -> None:
    rig = Rig()
    crowd = sessions(10)
    transport_of(crowd[9]).stuck = True
    job = PushJob(make_push(max_deliveries=3), crowd, 0, rig.clock, rig.answers.append)
    rig.fanout.add(job)
    rig.fanout.write_slice(rig.counters)
    job.finalize()
    (answer,) = rig.answers
    assert counts(answer) == {WRITTEN: 9, QUEUED: 1}
    assert [d.outcome for d in answer.deliveries] == [QUEUED, WRITTEN, WRITTEN]


def test_a_number_tells_whose_it_is() -> None:
    acks = Acks(lambda: 7)
    first, second = acks.next(), acks.next()
    assert first % 1024 == second % 1024 == 7
    assert acks.other_owner(first) is None
    assert acks.other_owner(first + 1) == 8
