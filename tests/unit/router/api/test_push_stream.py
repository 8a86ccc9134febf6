"""One PushStream: every item is reported once, in any order; bounds are said, and a bad item ends nothing."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from homing.v1 import router_pb2 as pb
from router.api import push_stream
from router.api.calls import ApiSettings
from router.api.push_stream import PushStreamCall
from router.delivery.port import Done
from router.push import CheckedPush, Refused
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


async def read_all(call: PushStreamCall) -> list[pb.PushReport]:
    call.close()
    reports: list[pb.PushReport] = []
    while (batch := await call.reports()) is not None:
        reports += batch.reports
    return reports


async def test_reports_come_as_they_finish_and_the_stream_ends_after_the_last() -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    call.take(message("a", "b", "c"))
    assert [checked.push_id for checked, _ in delivery.held] == ["a", "b", "c"]
    delivery.answer(1)
    first = await call.reports()
    assert first is not None
    assert [report.push_id for report in first.reports] == ["b"]
    call.close()
    ending = asyncio.ensure_future(call.reports())
    await asyncio.sleep(0)
    assert not ending.done()
    delivery.answer()
    delivery.answer()
    last = await ending
    assert last is not None
    assert [report.push_id for report in last.reports] == ["a", "c"]
    assert await call.reports() is None


async def test_over_the_bound_an_item_is_refused_and_told_when_to_come_back() -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(stream_pushes=2), delivery)
    call.take(message("a", "b", "c"))
    refused = await call.reports()
    assert refused is not None
    (report,) = refused.reports
    assert (report.push_id, report.error.code) == ("c", "RESOURCE_EXHAUSTED")
    assert report.error.retry_after.ToMilliseconds() == 100
    delivery.answer()
    call.take(message("d"))
    assert [checked.push_id for checked, _ in delivery.held] == ["b", "d"]


async def test_a_caller_that_does_not_read_is_not_read_from(monkeypatch) -> None:
    monkeypatch.setattr(push_stream, "UNREAD", 3)
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    call.take(message("a", "b", "c"))
    for _ in range(3):
        delivery.answer()
    waiting = asyncio.ensure_future(call.wait_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await call.reports()
    await waiting


async def test_a_push_refused_later_is_an_item_error_too() -> None:
    delivery = HeldDelivery()
    call = PushStreamCall(ApiSettings(), delivery)
    call.take(message("a"))
    delivery.held.pop()[1](Refused("RESOURCE_EXHAUSTED", "full", retry_after=0.1))
    (report,) = await read_all(call)
    assert (report.push_id, report.error.code, report.error.message) == ("a", "RESOURCE_EXHAUSTED", "full")


@given(st.lists(st.tuples(st.sampled_from("gbn"), st.integers(0, 5)), max_size=40))
def test_every_item_is_reported_exactly_once(steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        delivery = HeldDelivery()
        call = PushStreamCall(ApiSettings(stream_pushes=5), delivery)
        sent: list[str] = []
        for number, (kind, pick) in enumerate(steps):
            push_id = f"{kind}{number}"
            if kind == "n" and delivery.held:
                delivery.answer(pick % len(delivery.held))
                continue
            item = push(user="ada", push_id=push_id, data=b"{" if kind == "b" else b"{}")
            call.take(pb.PushStreamRequest(pushes=[item]))
            sent.append(push_id)
        while delivery.held:
            delivery.answer()
        reports = await read_all(call)
        assert sorted(report.push_id for report in reports) == sorted(sent)
        for report in reports:
            if report.push_id.startswith("b"):
                assert report.error.code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")

    asyncio.run(play())
