"""The kinds of gRPC calls: a PushStream whose router stops, and a call that is refused whatever it holds."""

import asyncio

from homing.v1 import router_pb2 as pb
from router.api.grpc_calls import PushStreamHandler, RefusedCall
from router.api.push_stream import PushStreamCall
from router.api.settings import ApiSettings
from router.caller import LOOPBACK
from router.delivery.port import OnResult
from router.push import CallRefused, CheckedPush
from router.push_handler import PushHandler
from tests.support.calls import push


class ImmediateDelivery:
    """A `PushDelivery` that reports at once."""

    def start(self, push: CheckedPush, _received_ns: int, on_result: OnResult) -> None:
        on_result(pb.PushReport(push_id=push.push_id))


class FakeCall:
    """Has room for one message, then for none until the test sets `has_room`."""

    def __init__(self) -> None:
        self.has_room = True
        self.reports = 0
        self.statuses: list[int] = []
        self.metadata: list[object] = []

    @property
    def writable(self) -> bool:
        return self.has_room and not self.statuses

    def send(self, message: bytes) -> None:
        self.reports += len(pb.PushStreamResponse.FromString(message).reports)
        self.has_room = False

    def end(self, status: int, _why: str = "", metadata: object = None) -> None:
        self.statuses.append(status)
        self.metadata.append(metadata)

    def pause_reading(self) -> None:
        """Nothing more comes."""

    def resume_reading(self) -> None:
        """Nothing more comes."""


async def test_reports_that_wait_for_a_full_stream_leave_before_it_ends() -> None:
    call = FakeCall()
    pushes = PushHandler(ImmediateDelivery(), max_data=100)
    handler = PushStreamHandler(
        call,
        lambda on_report: PushStreamCall(ApiSettings(), pushes, LOOPBACK, on_report),
        lambda _handler: None,
    )
    for start in range(0, 600, 200):
        requests = [push(user="ada", push_id=f"p{n}") for n in range(start, start + 200)]
        handler.on_message(pb.PushStreamRequest(pushes=requests).SerializeToString())
    handler.drain()
    for _ in range(10):
        await asyncio.sleep(0)
        if call.reports < 600:
            assert call.statuses == []
        call.has_room = True
        handler.on_writable()
    assert (call.reports, call.statuses) == (600, [14])


def test_a_refused_call_ends_with_its_status_at_the_first_message_or_the_half_close() -> None:
    refused = CallRefused("UNAUTHENTICATED", "no token", "authorization", retry_after=1.5)
    for first in (lambda handler: handler.on_message(b""), lambda handler: handler.on_half_close()):
        call = FakeCall()
        first(RefusedCall(call, refused))
        assert call.statuses == [16]
        assert call.metadata == [[(b"homing-field", b"authorization"), (b"retry-after-ms", b"1500")]]
