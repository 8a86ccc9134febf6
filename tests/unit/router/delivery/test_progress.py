"""Which published pushes are complete: cases that a whole delivery hardly reaches."""

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from registry.model import Incarnation
from router.delivery.progress import BroadcastProgress, PublishedPush
from router.delivery.report import ReportBuilder
from router.push import check_push
from tests.support.calls import push

ONE, TWO = Incarnation("one", 1), Incarnation("two", 2)


class Rig:
    def __init__(self) -> None:
        self.reports: list[PushReport] = []
        self.progress = BroadcastProgress(lambda push: self.reports.append(push.report.finish()), lambda: None)

    def publish(self) -> PublishedPush:
        checked = check_push(push(user="ada", push_id="p"), 100)
        published = PublishedPush(checked, ReportBuilder(checked), 0.0)
        self.progress.on_publish([published])
        self.progress.on_published()
        return published

    def counts(self) -> list[dict[str, int]]:
        return [dict(report.counts) for report in self.reports]


def answer(call: int) -> node_pb2.PushAnswer:
    made = node_pb2.PushAnswer(call=call, verdict=node_pb2.DONE)
    made.counts.add(outcome=Delivery.WRITTEN, sessions=1)
    return made


def handled(first: int, last: int, *answers: int, taken: tuple[int, ...] = ()) -> node_pb2.Handled:
    message = node_pb2.Handled(answers=map(answer, answers), taken=taken)
    message.spans.add(first=first, last=last)
    return message


def test_without_any_node_that_can_answer_a_push_is_complete_at_once() -> None:
    rig = Rig()
    rig.publish()
    assert (rig.counts(), rig.reports[0].nodes_contacted) == ([{"OFFLINE": 1}], 0)
    rig.progress.set_nodes([], [ONE, TWO])
    rig.publish()
    assert (rig.counts()[1], rig.reports[1].nodes_contacted) == ({"UNREACHABLE": 2}, 2)


def test_an_answer_from_a_node_that_was_unreachable_is_not_counted() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE, TWO], [])
    rig.publish()
    rig.progress.on_handled(ONE, handled(1, 1, taken=(1,)))
    rig.progress.set_nodes([TWO], [ONE])
    rig.progress.set_nodes([ONE, TWO], [])
    rig.progress.on_handled(ONE, handled(1, 1, 1))
    rig.progress.on_handled(TWO, handled(1, 1, 1))
    assert rig.counts() == [{"UNREACHABLE": 1, "WRITTEN": 1}]


def test_rejected_pushes_leave_no_call_unused() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE], [])
    first, second = rig.publish(), rig.publish()
    rig.progress.on_rejected([first, second])
    assert len(rig.progress) == 0
    assert rig.publish().call == 1
    rig.progress.on_handled(ONE, handled(1, 1))
    assert rig.counts() == [{"OFFLINE": 1}]


def test_an_unknown_node_and_calls_that_were_never_assigned_change_nothing() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE], [])
    rig.publish()
    rig.progress.on_handled(TWO, handled(1, 1, 1))
    assert rig.reports == []
    rig.progress.on_handled(ONE, handled(1, 2**60, 7))
    assert rig.counts() == [{"OFFLINE": 1}]
    rig.publish()
    assert len(rig.reports) == 1  # the span does not cover later calls


def test_a_node_that_comes_while_a_publication_fails_has_not_handled_the_next_one() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE], [])
    checked = check_push(push(user="ada", push_id="p"), 100)
    refused = PublishedPush(checked, ReportBuilder(checked), 0.0)
    rig.progress.on_publish([refused])
    rig.progress.set_nodes([ONE, TWO], [])
    rig.progress.on_rejected([refused])
    rig.publish()
    rig.progress.on_handled(ONE, handled(1, 1))
    assert rig.reports == []  # the other node has not handled it
    rig.progress.on_handled(TWO, handled(1, 1))
    assert rig.counts() == [{"OFFLINE": 1}]


def test_a_node_that_goes_while_another_s_answer_is_awaited_completes_the_push_when_that_one_goes() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE, TWO], [])
    rig.publish()
    rig.progress.on_handled(ONE, handled(1, 1, taken=(1,)))
    rig.progress.on_handled(TWO, handled(1, 1))
    assert rig.counts() == []
    rig.progress.set_nodes([TWO], [ONE])
    assert rig.counts() == [{"UNREACHABLE": 1}]


def test_a_node_that_went_before_is_unreachable_once_when_the_time_is_up() -> None:
    rig = Rig()
    rig.progress.set_nodes([TWO], [ONE])
    published = rig.publish()
    rig.progress.time_out([published])
    assert rig.counts() == [{"UNREACHABLE": 2}]


def test_a_taken_call_that_is_not_in_flight_is_ignored() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE], [])
    rig.publish()
    rig.progress.on_handled(ONE, handled(1, 1, taken=(7,)))
    assert rig.counts() == [{"OFFLINE": 1}]


def test_a_rejected_push_that_is_complete_already_is_reported_once() -> None:
    rig = Rig()
    rig.progress.set_nodes([ONE], [])
    published = rig.publish()
    rig.progress.set_nodes([], [])
    assert len(rig.reports) == 1
    rig.progress.on_rejected([published])
    assert len(rig.reports) == 1
    rig.progress.set_nodes([ONE], [])
    assert rig.publish().call == 1
