"""One push, many receivers: encoded once, each outcome told once, order kept per target, others interleave."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.fanout import Fanout
from gateway.delivery.push_job import SLICE, PushJob, target_of
from gateway.outcome import DROPPED_SLOW, EXPIRED, OFFLINE, QUEUED, UNREACHABLE, WRITTEN
from gateway.sessions.session import Session
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.values import Messages, PushedMessage
from homing.internal.v1 import node_pb2
from observability import names
from observability.counters import counters
from tests.support.wire import leave, open_session, transport_of


class CountingCodec(JsonEnvelope):
    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def push(self, pushed: PushedMessage) -> Messages:
        self.encoded += 1
        return super().push(pushed)


def make_push(**fields: object) -> node_pb2.Push:
    receivers = fields.pop("receivers", node_pb2.Receivers(file="doc"))
    given = {"call": 1, "event": "e", "data": b"{}", "push_id": "p", "ttl_ms": 30_000, "max_deliveries": 100}
    return node_pb2.Push(receivers=receivers, **(given | fields))  # type: ignore[arg-type]


class Rig:
    def __init__(self) -> None:
        self.now = 0
        self.answers: list[node_pb2.PushAnswer] = []
        self.fanout = Fanout()
        self.counters = counters(names.GATEWAY)

    def clock(self) -> int:
        return self.now

    def add(self, push: node_pb2.Push, receivers: list[Session], age_ns: int = 0) -> PushJob:
        job = PushJob(push, receivers, age_ns, self.clock, self.answers.append)
        self.fanout.add(job)
        return job

    def run(self) -> list[Session]:
        slow: list[Session] = []
        while (result := self.fanout.write_slice(self.counters)) is not None:
            slow += result.slow
        return slow


def counts(answer: node_pb2.PushAnswer) -> dict[int, int]:
    return {count.outcome: count.sessions for count in answer.counts}


def sessions(number: int, codec: JsonEnvelope | Bare | None = None) -> list[Session]:
    return [open_session(sid, f"user-{sid}", codec) for sid in range(1, number + 1)]


def test_a_push_is_encoded_once_per_codec_and_shared() -> None:
    rig, codec = Rig(), CountingCodec()
    many, bare = sessions(300, codec), sessions(2, Bare())
    rig.add(make_push(), many + bare)
    assert rig.run() == []
    assert codec.encoded == 1
    first = transport_of(many[0]).frames[0]
    assert all(transport_of(session).frames[0] is first for session in many)
    assert transport_of(bare[0]).frames[0] is transport_of(bare[1]).frames[0] is not first
    (answer,) = rig.answers
    assert (answer.verdict, counts(answer)) == (node_pb2.DONE, {WRITTEN: 302})
    assert len(answer.deliveries) == 100
    assert rig.counters.frames_written == 302


def test_exceptions_and_nobody_left() -> None:
    rig = Rig()
    one, two = sessions(2)
    rig.add(make_push(except_sessions=[1]), [one, two])
    rig.add(make_push(except_sessions=[1]), [one])
    rig.run()
    assert not rig.answers[1].counts
    assert [transport_of(one).frames, len(transport_of(two).frames)] == [[], 1]
    assert [answer.verdict for answer in rig.answers] == [node_pb2.DONE, node_pb2.DONE]


def test_who_is_behind_owes_a_verdict_until_it_drains_or_the_report_is_due() -> None:
    rig = Rig()
    quick, slow, slower = sessions(3)
    transport_of(slow).stuck = transport_of(slower).stuck = True
    job = rig.add(make_push(), [quick, slow, slower])
    rig.run()
    assert rig.answers == []
    rig.now = 5_000_000
    transport_of(slow).drain()
    assert rig.answers == []
    job.finalize()
    (answer,) = rig.answers
    assert counts(answer) == {WRITTEN: 2, QUEUED: 1}
    assert {(d.session, d.latency_us) for d in answer.deliveries if d.outcome == WRITTEN} == {(1, 0), (2, 5000)}
    assert answer.deliveries[0].outcome == QUEUED  # worst first
    transport_of(slower).drain()
    leave(slower)
    job.finalize()
    assert len(rig.answers) == 1


def test_who_goes_while_it_owes_was_not_reached() -> None:
    rig = Rig()
    (session,) = sessions(1)
    transport_of(session).stuck = True
    rig.add(make_push(), [session])
    rig.run()
    leave(session)
    assert counts(rig.answers[0]) == {OFFLINE: 1}


def test_over_the_budget_is_dropped_and_named_for_closing() -> None:
    rig = Rig()
    (session,) = sessions(1)
    transport_of(session).stuck = True
    rig.add(make_push(data=b'"' + b"x" * 900 + b'"'), [session])
    rig.add(make_push(data=b'"' + b"x" * 900 + b'"'), [session])
    assert rig.run() == [session]
    assert counts(rig.answers[0]) == {DROPPED_SLOW: 1}
    assert rig.counters.dropped_slow == 1


def test_nothing_is_written_after_its_ttl_and_time_in_a_buffer_counts() -> None:
    rig = Rig()
    (session,) = sessions(1)
    rig.add(make_push(ttl_ms=100), [session], age_ns=99_000_000)
    rig.add(make_push(ttl_ms=100), [session], age_ns=100_000_000)
    rig.run()
    assert [counts(answer) for answer in rig.answers] == [{WRITTEN: 1}, {EXPIRED: 1}]
    assert rig.answers[0].deliveries[0].latency_us == 99_000
    assert len(transport_of(session).frames) == 1


def test_a_large_fanout_lets_others_pass_but_never_its_own_target() -> None:
    rig = Rig()
    crowd = sessions(3 * SLICE)
    (alone,) = sessions(1)
    rig.add(make_push(push_id="big"), crowd)
    rig.add(make_push(push_id="same target"), crowd)
    rig.add(make_push(push_id="other", receivers=node_pb2.Receivers(user="alone")), [alone])
    written: list[str] = []
    while (result := rig.fanout.write_slice(rig.counters)) is not None:
        written.append(result.job.push.push_id)
    assert written.index("other") == 1
    assert written.index("same target") > len(written) - 1 - written[::-1].index("big")
    for session in crowd:
        first, second = transport_of(session).frames
        assert b'"push":"big"' in first
        assert b'"push":"same target"' in second


def test_a_push_that_fails_is_answered_and_holds_up_nothing() -> None:
    class Broken(CountingCodec):
        name = "broken"

        def push(self, pushed: PushedMessage) -> Messages:
            raise ValueError("a fault of ours")

    rig = Rig()
    good, bad = sessions(1), sessions(2, Broken())
    rig.add(make_push(call=1), good + bad)
    rig.add(make_push(call=2), good)
    result = rig.fanout.write_slice(rig.counters)
    assert result is not None
    assert isinstance(result.error, ValueError)
    rig.run()
    assert [(answer.call, counts(answer)) for answer in rig.answers] == [
        (1, {WRITTEN: 1, UNREACHABLE: 2}),
        (2, {WRITTEN: 1}),
    ]


@given(st.data())
def test_every_receiver_gets_exactly_one_outcome_whatever_happens(data: st.DataObject) -> None:
    rig = Rig()
    crowd = sessions(data.draw(st.integers(0, 6)))
    jobs = [rig.add(make_push(call=call), crowd) for call in range(1, 4)]

    def step() -> None:
        rig.fanout.write_slice(rig.counters)

    def stick(session: Session) -> Callable[[], None]:
        return lambda: setattr(transport_of(session), "stuck", True) if session.connection else None

    def drain(session: Session) -> Callable[[], None]:
        return lambda: transport_of(session).drain() if session.connection else None

    def go(session: Session) -> Callable[[], None]:
        return lambda: leave(session) if session.connection else None

    acts = [step] + [make(session) for session in crowd for make in (stick, drain, go)]
    for act in data.draw(st.lists(st.sampled_from(acts), max_size=20)):
        act()
    rig.run()
    for job in jobs:
        job.finalize()
    assert sorted(answer.call for answer in rig.answers) == [1, 2, 3]
    for answer in rig.answers:
        told = [delivered.session for delivered in answer.deliveries]
        assert sum(counts(answer).values()) == len(told) == len(set(told))
        there = {session.sid for session in crowd if session.connection is not None}
        assert there <= set(told) <= {session.sid for session in crowd}  # who went before it was written was not there


def test_what_gives_two_pushes_an_order() -> None:
    def of(*sids: int) -> object:
        return target_of(node_pb2.Receivers(sessions=node_pb2.SessionList(sids=sids)))

    assert of(1) == of(1) != of(2)
    assert target_of(node_pb2.Receivers(user="a")) != target_of(node_pb2.Receivers(file="a"))


def test_good_outcomes_are_listed_while_there_is_room_and_all_are_counted() -> None:
    rig = Rig()
    one, two, three = crowd = sessions(3)
    for session in crowd:
        transport_of(session).stuck = True
    rig.add(make_push(max_deliveries=1), crowd)
    rig.run()
    transport_of(one).drain()
    transport_of(two).drain()
    leave(three)
    (answer,) = rig.answers
    assert counts(answer) == {WRITTEN: 2, OFFLINE: 1}
    assert [(listed.session, listed.outcome) for listed in answer.deliveries] == [(3, OFFLINE)]  # worst first
