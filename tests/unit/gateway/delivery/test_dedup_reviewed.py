"""Interleavings of repeats that a review found."""

from gateway.delivery.push_job import PushJob
from gateway.outcome import DUPLICATE, OFFLINE, WRITTEN
from tests.support.wire import transport_of
from tests.unit.gateway.delivery.test_dedup import DedupRig, frames
from tests.unit.gateway.delivery.test_fanout import counts, make_push, sessions


def test_a_repeat_that_is_read_while_the_answer_is_given_is_not_written_again() -> None:
    """An answer may resume reading (`RouterStream._answered`), which takes what was read meanwhile at once."""
    rig, (one,) = DedupRig(), sessions(1)
    repeats: list[PushJob] = []

    def answer_and_read_on(_answer: object) -> None:
        if not repeats:
            repeats.append(PushJob(make_push(dedup=True), [one], 0, rig.clock, rig.answers.append))
            rig.dedup.take(repeats[0], rig.now)
            rig.fanout.add(repeats[0])

    first = PushJob(make_push(dedup=True), [one], 0, rig.clock, answer_and_read_on)
    rig.dedup.take(first, rig.now)
    rig.fanout.add(first)
    rig.run()
    assert rig.outcomes() == [{DUPLICATE: 1}]
    assert frames(one) == 1


def test_a_repeat_does_not_report_written_what_the_first_try_found_closing() -> None:
    rig, (mute, closing) = DedupRig(), sessions(2)
    first = PushJob(make_push(dedup=True, ack_timeout_ms=10_000), [mute, closing], 0, rig.clock, rig.answers.append, 7)
    rig.dedup.take(first, rig.now)
    rig.fanout.add(first)
    repeat = PushJob(make_push(dedup=True), [mute, closing], 0, rig.clock, rig.answers.append)
    rig.dedup.take(repeat, rig.now)
    rig.fanout.add(repeat)
    transport_of(closing).closing = (1006, "")
    rig.run()
    repeat.finalize()  # its report is due before the first try's, which waits for an ack
    (answer,) = rig.answers
    assert frames(closing) == 0
    assert counts(answer) in ({WRITTEN: 1}, {WRITTEN: 1, OFFLINE: 1})


def test_a_repeat_that_is_answered_is_not_kept_by_the_try_that_it_joined() -> None:
    rig, (stuck,) = DedupRig(), sessions(1)
    transport_of(stuck).stuck = True
    first = rig.start([stuck])
    first.finalize()
    for _ in range(10):
        rig.start([stuck], data=b'"' + b"x" * 100_000 + b'"').finalize()
    assert len(first.followers or ()) == 0, "each holds its payload, which nothing bounds"
