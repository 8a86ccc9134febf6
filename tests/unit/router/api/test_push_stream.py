"""One PushStream: every item is reported once, in any order; bounds are said, and a bad item ends nothing."""

from hypothesis import given
from hypothesis import strategies as st

from homing.v1 import router_pb2 as pb
from router.api import push_stream
from router.api.push_stream import PushStreamCall
from router.api.settings import ApiSettings
from router.delivery.port import Done
from router.push import CallRefused, CheckedPush
from tests.support.calls import push


class HeldDelivery:
    """A `Delivery` that answers when the test says so."""

    def __init__(self) -> None:
        self.held: list[tuple[CheckedPush, Done]] = []

    def start(self, push: CheckedPush, received_ns: int, done: Done) -> None:
        self.held.append((push, done))

    async def push(self, push: CheckedPush, received_ns: int) -> pb.PushReport:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing waits."""

    def answer(self, index: int = 0) -> None:
        checked, done = self.held.pop(index)
        done(pb.PushReport(push_id=checked.push_id))


def message(*ids: str) -> pb.PushStreamRequest:
    return pb.PushStreamRequest(pushes=[push(user="ada", push_id=push_id) for push_id in ids])


def take(call: PushStreamCall, request: pb.PushStreamRequest) -> None:
    call.take(request, request.ByteSize(), 0)


def read_all(call: PushStreamCall) -> list[pb.PushReport]:
    reports: list[pb.PushReport] = []
    while (batch := call.reports()) is not None:
        reports += batch.reports
    return reports


def test_reports_come_as_they_finish_and_the_stream_is_over_after_the_last() -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    told: list[bool] = []
    call.on_some = told.append
    take(call, message("a", "b", "c"))
    assert [checked.push_id for checked, _ in delivery.held] == ["a", "b", "c"]
    delivery.answer(1)
    assert told == [True]  # two are under way still: nobody waits for this one alone
    assert [report.push_id for report in read_all(call)] == ["b"]
    call.close()
    assert not call.over
    delivery.answer()
    delivery.answer()
    assert not call.over  # two reports have not been read
    assert [report.push_id for report in read_all(call)] == ["a", "c"]
    assert call.over


def test_a_message_above_its_bounds_is_refused_item_by_item(monkeypatch) -> None:
    monkeypatch.setattr(push_stream, "MESSAGE_PUSHES", 2)
    monkeypatch.setattr(push_stream, "MESSAGE_BYTES", 100)
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    take(call, message("a", "b", "c"))
    call.take(message("d", "e"), 101, 0)
    call.take(message("f"), 101, 0)  # one larger push
    refused = read_all(call)
    assert [(report.push_id, report.error.field) for report in refused] == [(one, "pushes") for one in "abcde"]
    assert [checked.push_id for checked, _ in delivery.held] == ["f"]


def test_reports_with_long_lists_leave_in_several_messages(monkeypatch) -> None:
    monkeypatch.setattr(push_stream, "MESSAGE_WEIGHT", 5)
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    take(call, message("a", "b", "c"))
    for checked, done in delivery.held:
        done(pb.PushReport(push_id=checked.push_id, deliveries=[pb.Delivery()] * 2))
    first, second = call.reports(), call.reports()
    assert first is not None
    assert second is not None
    assert ([len(first.reports), len(second.reports)], call.reports()) == ([2, 1], None)


def test_over_the_bound_an_item_is_refused_and_told_when_to_come_back() -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(stream_pushes=2), delivery)
    take(call, message("a", "b", "c"))
    (report,) = read_all(call)
    assert (report.push_id, report.error.code) == ("c", "RESOURCE_EXHAUSTED")
    assert report.error.retry_after.ToMilliseconds() == 100
    delivery.answer()
    take(call, message("d"))
    assert [checked.push_id for checked, _ in delivery.held] == ["b", "d"]


def test_a_caller_that_does_not_read_is_not_read_from(monkeypatch) -> None:
    monkeypatch.setattr(push_stream, "UNREAD", 3)
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    take(call, message("a", "b", "c"))
    assert call.room
    for _ in range(3):
        delivery.answer()
    assert not call.room
    read_all(call)
    assert call.room


def test_a_push_refused_later_is_an_item_error_too() -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    take(call, message("a"))
    delivery.held.pop()[1](CallRefused("RESOURCE_EXHAUSTED", "full", retry_after=0.1))
    (report,) = read_all(call)
    assert (report.push_id, report.error.code, report.error.message) == ("a", "RESOURCE_EXHAUSTED", "full")


@given(st.lists(st.tuples(st.sampled_from("gbn"), st.integers(0, 5)), max_size=40))
def test_every_item_is_reported_exactly_once(steps: list[tuple[str, int]]) -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(stream_pushes=5), delivery)
    sent: list[str] = []
    for number, (kind, pick) in enumerate(steps):
        push_id = f"{kind}{number}"
        if kind == "n" and delivery.held:
            delivery.answer(pick % len(delivery.held))
            continue
        item = push(user="ada", push_id=push_id, data=b"{" if kind == "b" else b"{}")
        take(call, pb.PushStreamRequest(pushes=[item]))
        sent.append(push_id)
    while delivery.held:
        delivery.answer()
    reports = read_all(call)
    assert sorted(report.push_id for report in reports) == sorted(sent)
    for report in reports:
        if report.push_id.startswith("b"):
            assert report.error.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
