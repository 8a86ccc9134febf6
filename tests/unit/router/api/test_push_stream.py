"""One PushStream: every item is reported once, in any order; it is bounded, and a refused item does not end it."""

from hypothesis import given
from hypothesis import strategies as st

from homing.v1 import router_pb2 as pb
from router.api import push_stream, unread_reports
from router.api.push_stream import OnReport, PushStreamCall
from router.api.settings import ApiSettings
from router.api.unread_reports import UnreadReports
from router.caller import LOOPBACK, Caller
from router.delivery.port import OnResult
from router.push import CallRefused, CheckedPush
from router.push_handler import PushHandler
from tests.support.calls import push

DEFAULTS = ApiSettings()


class HeldDelivery:
    """A `PushDelivery` whose reports the test makes."""

    def __init__(self) -> None:
        self.held: list[tuple[CheckedPush, OnResult]] = []

    def start(self, push: CheckedPush, received_ns: int, on_result: OnResult) -> None:
        self.held.append((push, on_result))

    async def close(self) -> None:
        """Nothing waits."""

    def report(self, index: int = 0) -> None:
        checked, on_result = self.held.pop(index)
        on_result(pb.PushReport(push_id=checked.push_id))


def open_stream(
    delivery: HeldDelivery,
    settings: ApiSettings = DEFAULTS,
    caller: Caller = LOOPBACK,
    on_report: OnReport = lambda _linger: None,
) -> PushStreamCall:
    return PushStreamCall(settings, PushHandler(delivery, settings.max_data), caller, on_report)


def message(*ids: str) -> pb.PushStreamRequest:
    return pb.PushStreamRequest(pushes=[push(user="ada", push_id=push_id) for push_id in ids])


def receive(stream: PushStreamCall, request: pb.PushStreamRequest) -> None:
    stream.receive(request, request.ByteSize(), 0)


def read_all(stream: PushStreamCall) -> list[pb.PushReport]:
    reports: list[pb.PushReport] = []
    while (response := stream.next_response()) is not None:
        reports += response.reports
    return reports


def test_reports_come_as_they_finish_and_the_stream_finishes_after_the_last() -> None:
    delivery = HeldDelivery()
    lingers: list[bool] = []
    stream = open_stream(delivery, on_report=lingers.append)
    receive(stream, message("a", "b", "c"))
    assert [checked.push_id for checked, _ in delivery.held] == ["a", "b", "c"]
    delivery.report(1)
    assert lingers == [True]  # two are in flight still, so this report may wait for theirs
    assert [report.push_id for report in read_all(stream)] == ["b"]
    stream.close()
    assert not stream.finished
    delivery.report()
    delivery.report()
    assert not stream.finished  # two reports have not been read
    assert [report.push_id for report in read_all(stream)] == ["a", "c"]
    assert stream.finished


def test_a_message_above_its_bounds_is_refused_item_by_item(monkeypatch) -> None:
    monkeypatch.setattr(push_stream, "MESSAGE_PUSHES", 2)
    monkeypatch.setattr(push_stream, "MESSAGE_BYTES", 100)
    delivery = HeldDelivery()
    stream = open_stream(delivery)
    receive(stream, message("a", "b", "c"))
    stream.receive(message("d", "e"), 101, 0)
    stream.receive(message("f"), 101, 0)  # one larger push
    refused = read_all(stream)
    assert [(report.push_id, report.error.field) for report in refused] == [(one, "pushes") for one in "abcde"]
    assert [checked.push_id for checked, _ in delivery.held] == ["f"]


def test_reports_with_long_lists_leave_in_several_messages(monkeypatch) -> None:
    monkeypatch.setattr(
        push_stream, "MESSAGE_SIZE", pb.PushReport(push_id="a", deliveries=[pb.Delivery()] * 2).ByteSize() * 2
    )
    delivery = HeldDelivery()
    stream = open_stream(delivery)
    receive(stream, message("a", "b", "c"))
    for checked, on_result in delivery.held:
        on_result(pb.PushReport(push_id=checked.push_id, deliveries=[pb.Delivery()] * 2))
    first, second = stream.next_response(), stream.next_response()
    assert first is not None
    assert second is not None
    assert ([len(first.reports), len(second.reports)], stream.next_response()) == ([2, 1], None)


def test_over_the_bound_an_item_is_refused_with_a_time_to_wait() -> None:
    delivery = HeldDelivery()
    stream = open_stream(delivery, ApiSettings(stream_pushes=2))
    receive(stream, message("a", "b", "c"))
    (report,) = read_all(stream)
    assert (report.push_id, report.error.code) == ("c", "RESOURCE_EXHAUSTED")
    assert report.error.retry_after.ToMilliseconds() == 100
    delivery.report()
    receive(stream, message("d"))
    assert [checked.push_id for checked, _ in delivery.held] == ["b", "d"]


def test_a_caller_that_does_not_read_is_not_read_from(monkeypatch) -> None:
    monkeypatch.setattr(unread_reports, "MAX_BYTES", 3 * unread_reports.REPORT_BYTES)
    delivery = HeldDelivery()
    stream = open_stream(delivery)
    receive(stream, message("a", "b", "c"))
    assert stream.has_room
    for _ in range(3):
        delivery.report()
    assert not stream.has_room
    read_all(stream)
    assert stream.has_room


def test_one_report_larger_than_a_message_leaves_alone(monkeypatch) -> None:
    monkeypatch.setattr(push_stream, "MESSAGE_SIZE", 1)
    delivery = HeldDelivery()
    stream = open_stream(delivery)
    receive(stream, message("a", "b"))
    delivery.report()
    delivery.report()
    assert [len(stream.next_response().reports) for _ in "ab"] == [1, 1]


def test_the_streams_of_a_connection_share_the_room_for_reports(monkeypatch) -> None:
    monkeypatch.setattr(unread_reports, "MAX_BYTES", 3 * unread_reports.REPORT_BYTES)
    delivery, unread, resumed = HeldDelivery(), UnreadReports(), []
    pushes = PushHandler(delivery, DEFAULTS.max_data)
    one, other = (PushStreamCall(DEFAULTS, pushes, LOOPBACK, lambda _linger: None, "", unread) for _ in "ab")
    receive(one, message("a", "b", "c"))
    for _ in range(3):
        delivery.report()
    assert not other.has_room
    unread.wait_for_room(lambda: resumed.append("other"))
    unread.wait_for_room(resumed.clear)
    unread.forget(resumed.clear)
    receive(one, message("late"))
    one.drop_reports()
    delivery.report()
    assert (other.has_room, resumed, one.has_reports) == (True, ["other"], False)


def test_a_push_refused_later_is_an_item_error_too() -> None:
    delivery = HeldDelivery()
    stream = open_stream(delivery)
    receive(stream, message("a"))
    delivery.held.pop()[1](CallRefused("RESOURCE_EXHAUSTED", "full", retry_after=0.1))
    (report,) = read_all(stream)
    assert (report.push_id, report.error.code, report.error.message) == ("a", "RESOURCE_EXHAUSTED", "full")


def test_a_caller_without_the_right_is_refused_item_by_item_and_nothing_is_sent() -> None:
    delivery = HeldDelivery()
    lingers: list[bool] = []
    stream = open_stream(delivery, caller=Caller("reader", frozenset({"presence"})), on_report=lingers.append)
    receive(stream, message("a", "b"))
    reports = read_all(stream)
    assert [(report.push_id, report.error.code) for report in reports] == [
        ("a", "PERMISSION_DENIED"),
        ("b", "PERMISSION_DENIED"),
    ]
    assert (delivery.held, lingers, stream.in_flight) == ([], [False, False], 0)


@given(st.lists(st.tuples(st.sampled_from("gbn"), st.integers(0, 5)), max_size=40))
def test_every_item_is_reported_exactly_once(steps: list[tuple[str, int]]) -> None:
    delivery = HeldDelivery()
    stream = open_stream(delivery, ApiSettings(stream_pushes=5))
    sent: list[str] = []
    for number, (kind, pick) in enumerate(steps):
        push_id = f"{kind}{number}"
        if kind == "n" and delivery.held:
            delivery.report(pick % len(delivery.held))
            continue
        item = push(user="ada", push_id=push_id, data=b"{" if kind == "b" else b"{}")
        receive(stream, pb.PushStreamRequest(pushes=[item]))
        sent.append(push_id)
    while delivery.held:
        delivery.report()
    reports = read_all(stream)
    assert sorted(report.push_id for report in reports) == sorted(sent)
    for report in reports:
        if report.push_id.startswith("b"):
            assert report.error.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
