"""The one way in for a push: right, check, trace of a refusal, delivery."""

import asyncio

import pytest

from homing.v1 import router_pb2 as pb
from observability import spans
from observability.spans import Span
from observability.tracing import Tracer
from router.caller import LOOPBACK, Caller
from router.delivery.port import OnResult
from router.push import CallRefused, CheckedPush
from router.push_handler import PushHandler
from tests.support.calls import push

READER = Caller("reader", frozenset({"presence", "admin"}))
TRACED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Rig:
    """A handler over a delivery whose results the test makes."""

    def __init__(self) -> None:
        self.started: list[tuple[CheckedPush, int, OnResult]] = []
        self.spans: list[Span] = []
        self.handler = PushHandler(self, max_data=10, tracer=Tracer(self.spans.append, seed=1))

    def start(self, push: CheckedPush, received_ns: int, on_result: OnResult) -> None:
        self.started.append((push, received_ns, on_result))

    async def close(self) -> None:
        """Nothing waits."""


def test_a_push_of_a_caller_with_the_right_is_checked_and_started() -> None:
    rig, results = Rig(), []
    rig.handler.start(LOOPBACK, push(user="ada", push_id="p"), 7, results.append, linger=True)
    ((checked, received_ns, on_result),) = rig.started
    assert (checked.target.user, checked.push_id, checked.linger, received_ns) == ("ada", "p", True, 7)
    on_result(pb.PushReport(push_id="p"))
    assert [result.push_id for result in results] == ["p"]


@pytest.mark.parametrize(
    ("caller", "fields", "code", "field"),
    [
        (READER, {}, "PERMISSION_DENIED", ""),
        (LOOPBACK, {"event": ""}, "INVALID_ARGUMENT", "event"),
        (LOOPBACK, {"data": b'"longer than 10"'}, "INVALID_ARGUMENT", "data"),
        (READER, {"event": ""}, "PERMISSION_DENIED", ""),
    ],
)
async def test_a_refused_push_starts_nothing_and_its_span_has_the_error(
    caller: Caller, fields: dict[str, object], code: str, field: str
) -> None:
    rig, results = Rig(), []
    request = push(user="ada", push_id="p", traceparent=TRACED, **fields)
    rig.handler.start(caller, request, 1, results.append)
    with pytest.raises(CallRefused) as caught:
        await rig.handler.push(caller, request, 1)
    for refused in (*results, caught.value):
        assert (refused.code, refused.field) == (code, field)
    assert len(results) == 1
    assert rig.started == []
    assert [(span.name, span.error) for span in rig.spans] == [(spans.PUSH, code)] * 2


async def test_an_awaited_push_returns_its_report_or_raises() -> None:
    rig = Rig()
    first, second = (asyncio.ensure_future(rig.handler.push(LOOPBACK, push(user="a", push_id=x), 1)) for x in "ab")
    await asyncio.sleep(0)
    rig.started[0][2](pb.PushReport(push_id="a"))
    rig.started[1][2](CallRefused("RESOURCE_EXHAUSTED", "full"))
    assert (await first).push_id == "a"
    with pytest.raises(CallRefused, match="full"):
        await second


async def test_a_push_id_of_the_callers_is_for_dedup_and_one_made_here_is_not() -> None:
    rig, named = Rig(), Caller("mail", LOOPBACK.rights)
    calls = [
        asyncio.ensure_future(rig.handler.push(named, request, 1))
        for request in (push(user="a", push_id="p"), push(user="a"), push(user="a"))
    ]
    await asyncio.sleep(0)
    started = [checked for checked, _, _ in rig.started]
    assert [(checked.dedup, checked.caller) for checked in started] == [
        (True, "mail"),
        (False, "mail"),
        (False, "mail"),
    ]
    assert len({checked.push_id for checked in started}) == 3
    for call in calls:
        call.cancel()


async def test_the_result_of_a_cancelled_call_is_ignored() -> None:
    rig = Rig()
    call = asyncio.ensure_future(rig.handler.push(LOOPBACK, push(user="a", push_id="p"), 1))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    rig.started[0][2](pb.PushReport(push_id="p"))
    assert call.cancelled()


def test_a_batch_is_traced_only_while_spans_are_kept() -> None:
    rig = Rig()
    pushes = [push(user="a", push_id=push_id, traceparent=TRACED) for push_id in "ab"]
    rig.handler.trace_batch("", pushes, 1)
    assert [(span.name, span.links) for span in rig.spans] == [(spans.BATCH, (TRACED, TRACED))]
    PushHandler(rig, max_data=10).trace_batch("", pushes, 1)
    assert len(rig.spans) == 1
