"""The report of one push, from the nodes' answers."""

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery
from registry.model import Incarnation, SessionInfo, SessionRoute
from router.delivery.plan import Leg
from router.delivery.report import ReportBuilder
from router.push import check_push
from tests.support.calls import push

ONE = Incarnation("one", 1)
ADA = SessionRoute(7, "ada", ONE, 1, SessionInfo("", "", 1))


def builder(**fields: object) -> ReportBuilder:
    return ReportBuilder(check_push(push(user="ada", push_id="p", **fields), 100))


def test_an_ack_s_data_and_latency_are_reported() -> None:
    answer = node_pb2.PushAnswer(verdict=node_pb2.DONE)
    answer.counts.add(outcome=Delivery.ACKED, sessions=1)
    answer.deliveries.add(
        session=7, user="ada", outcome=Delivery.ACKED, latency_us=1_500_000, ack_data=b"1", ack_content_type="text/x"
    )
    made = builder()
    made.add_answer(ONE, answer)
    (delivery,) = made.finish().deliveries
    assert (delivery.ack_data, delivery.ack_content_type) == (b"1", "text/x")
    assert (delivery.latency.seconds, delivery.latency.nanos) == (1, 500_000_000)


def test_an_unreachable_node_s_known_sessions_are_listed() -> None:
    made = builder()
    made.add_unreachable(Leg(ONE, (ADA,)))
    report = made.finish()
    assert (dict(report.counts), [(one.session, one.user) for one in report.deliveries]) == (
        {"UNREACHABLE": 1},
        [(7, "ada")],
    )


def test_an_unreachable_node_whose_sessions_are_all_excepted_leaves_empty_counts_not_offline() -> None:
    made = builder(except_sessions=[7])
    made.add_unreachable(Leg(ONE, (ADA,)))
    report = made.finish()
    assert (dict(report.counts), report.owning_nodes) == ({}, 1)


def test_nobody_is_offline_once() -> None:
    report = builder().finish()
    assert (dict(report.counts), report.owning_nodes, len(report.deliveries)) == ({"OFFLINE": 1}, 0, 1)
