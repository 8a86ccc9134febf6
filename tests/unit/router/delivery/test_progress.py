"""Which published pushes are complete: the corners that a whole delivery hardly reaches."""

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from registry.model import Incarnation
from router.delivery.progress import BroadcastProgress, Published
from router.delivery.report import ReportBuilder
from router.push import check_push
from tests.support.calls import push

ONE, TWO = Incarnation("one", 1), Incarnation("two", 2)


class Rig:
    def __init__(self) -> None:
        self.done: list[PushReport] = []
        self.progress = BroadcastProgress(lambda published: self.done.append(published.report.finish()), lambda: None)

    def publish(self) -> Published:
        checked = check_push(push(user="ada", push_id="p"), 100)
        published = Published(checked, ReportBuilder(checked), 0.0)
        self.progress.publish([published])
        self.progress.published()
        return published

    def counts(self) -> list[dict[str, int]]:
        return [dict(report.counts) for report in self.done]


def answer(call: int) -> node_pb2.PushAnswer:
    made = node_pb2.PushAnswer(call=call, verdict=node_pb2.DONE)
    made.counts.add(outcome=Delivery.WRITTEN, sessions=1)
    return made


def handled(first: int, last: int, *answers: int, taken: tuple[int, ...] = ()) -> node_pb2.Handled:
    message = node_pb2.Handled(answers=map(answer, answers), taken=taken)
    message.spans.add(first=first, last=last)
    return message


def test_without_any_node_and_without_any_that_can_be_heard_a_push_is_complete_at_once() -> None:
    rig = Rig()
    rig.publish()
    assert (rig.counts(), rig.done[0].nodes_contacted) == ([{"OFFLINE": 1}], 0)
    rig.progress.nodes_are([], [ONE, TWO])
    rig.publish()
    assert (rig.counts()[1], rig.done[1].nodes_contacted) == ({"UNREACHABLE": 2}, 2)


def test_what_is_said_about_a_push_after_it_was_given_up_there_is_not_counted_twice() -> None:
    rig = Rig()
    rig.progress.nodes_are([ONE, TWO], [])
    rig.publish()
    rig.progress.on_handled(ONE, handled(1, 1, taken=(1,)))
    rig.progress.nodes_are([TWO], [ONE])
    rig.progress.nodes_are([ONE, TWO], [])
    rig.progress.on_handled(ONE, handled(1, 1, 1))
    rig.progress.on_handled(TWO, handled(1, 1, 1))
    assert rig.counts() == [{"UNREACHABLE": 1, "WRITTEN": 1}]


def test_what_was_withdrawn_leaves_no_number_unused() -> None:
    rig = Rig()
    rig.progress.nodes_are([ONE], [])
    first, second = rig.publish(), rig.publish()
    rig.progress.withdraw([first, second])
    assert len(rig.progress) == 0
    assert rig.publish().call == 1
    rig.progress.on_handled(ONE, handled(1, 1))
    assert rig.counts() == [{"OFFLINE": 1}]


def test_a_stranger_and_numbers_that_were_never_given_change_nothing() -> None:
    rig = Rig()
    rig.progress.nodes_are([ONE], [])
    rig.publish()
    rig.progress.on_handled(TWO, handled(1, 1, 1))
    assert rig.done == []
    rig.progress.on_handled(ONE, handled(1, 2**60, 7))
    assert rig.counts() == [{"OFFLINE": 1}]
    rig.publish()
    assert len(rig.done) == 1  # what is yet to be published is not covered by that number


def test_a_node_that_comes_while_a_publish_fails_has_not_come_past_what_is_published_next() -> None:
    rig = Rig()
    rig.progress.nodes_are([ONE], [])
    checked = check_push(push(user="ada", push_id="p"), 100)
    refused = Published(checked, ReportBuilder(checked), 0.0)
    rig.progress.publish([refused])
    rig.progress.nodes_are([ONE, TWO], [])
    rig.progress.withdraw([refused])
    rig.publish()
    rig.progress.on_handled(ONE, handled(1, 1))
    assert rig.done == []  # the other has said nothing yet
    rig.progress.on_handled(TWO, handled(1, 1))
    assert rig.counts() == [{"OFFLINE": 1}]
