"""The kinds of gRPC calls: unary, server streaming, a PushStream whose router stops, and a refused call."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from homing.v1 import router_pb2 as pb
from router.api import unread_reports
from router.api.grpc_calls import PushStreamHandler, RefusedCall, ServerStreamingCall, UnaryCall
from router.api.push_stream import PushStreamCall
from router.api.settings import ApiSettings
from router.api.unread_reports import UnreadReports
from router.caller import LOOPBACK
from router.delivery.port import OnResult
from router.push import CallRefused, CheckedPush
from router.push_handler import PushHandler
from runtime.grpc_wire.status import CANCELLED, INTERNAL, INVALID_ARGUMENT, UNAVAILABLE, StreamEnded
from runtime.process.background_tasks import BackgroundTasks
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
        self.paused = False
        self.on_unreadable: Callable[[StreamEnded], None] | None = None

    def end(self, status: int, _why: str = "", metadata: object = None) -> None:
        self.statuses.append(status)
        self.metadata.append(metadata)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def push_stream(call: FakeCall) -> PushStreamHandler:
    """A PushStream whose pushes are reported at once."""
    pushes, unread = PushHandler(ImmediateDelivery(), max_data=100), UnreadReports()
    return PushStreamHandler(
        call,
        lambda on_report: PushStreamCall(ApiSettings(), pushes, LOOPBACK, on_report, "", unread),
        lambda _handler: None,
        unread,
    )


async def test_reports_that_wait_for_a_full_stream_leave_before_it_ends() -> None:
    call = FakeCall()
    handler = push_stream(call)
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


async def test_a_stream_that_drains_reads_no_more() -> None:
    call = FakeCall()
    handler = push_stream(call)
    handler.drain()
    handler.on_message(pb.PushStreamRequest(pushes=[push(user="ada", push_id="late")]).SerializeToString())
    await asyncio.sleep(0)
    assert (call.reports, call.statuses) == (0, [14])


def test_a_refused_call_ends_with_its_status_at_the_first_message_or_the_half_close() -> None:
    refused = CallRefused("UNAUTHENTICATED", "no token", "authorization", retry_after=1.5)
    for first in (lambda handler: handler.on_message(b""), lambda handler: handler.on_half_close()):
        call = FakeCall()
        first(RefusedCall(call, refused))
        assert call.statuses == [16]
        assert call.metadata == [[(b"homing-field", b"authorization"), (b"retry-after-ms", b"1500")]]


class RecordingCall:
    """Keeps what is sent and how it ends; is writable until a test says otherwise."""

    def __init__(self) -> None:
        self.keeps_messages = False
        self.sent: list[bytes] = []
        self.ended: list[tuple[int, str]] = []
        self.writable = True

    def keep_messages(self) -> None:
        self.keeps_messages = True

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def end(self, status: int = 0, why: str = "", _metadata: object = None) -> None:
        self.ended.append((status, why))


TARGET = pb.LocateRequest(target=pb.Target(user="ada"))


class UnaryRig:
    """A unary call whose answer waits for `may_answer`, and then raises `error` or is sent."""

    def __init__(self, error: Exception | None = None) -> None:
        self.call = RecordingCall()
        self.tasks = BackgroundTasks()
        self.may_answer = asyncio.Event()
        self.error = error
        self.handler = UnaryCall(self.call, pb.LocateRequest, self._answer, self.tasks)  # type: ignore[arg-type]

    async def _answer(self, request: pb.LocateRequest, call: RecordingCall) -> None:
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        call.send(request.SerializeToString())
        call.end()

    def receive(self) -> None:
        """The request, whole."""
        self.handler.on_message(TARGET.SerializeToString())
        self.handler.on_writable()
        self.handler.on_half_close()

    async def settle(self) -> None:
        while self.tasks.running():
            await asyncio.sleep(0)


async def test_a_unary_call_is_answered_after_its_half_close() -> None:
    rig = UnaryRig()
    rig.may_answer.set()
    rig.handler.on_message(TARGET.SerializeToString())
    assert rig.tasks.running() == 0
    rig.handler.on_half_close()
    await rig.settle()
    assert (rig.call.sent, rig.call.ended) == ([TARGET.SerializeToString()], [(0, "")])


@pytest.mark.parametrize("messages", [[b"\xff"], [b"", b""]], ids=["no request", "two requests"])
async def test_a_unary_call_takes_one_message_of_its_kind(messages: list[bytes]) -> None:
    rig = UnaryRig()
    *earlier, last = messages
    for message in earlier:
        rig.handler.on_message(message)
    with pytest.raises(StreamEnded) as refused:
        rig.handler.on_message(last)
    assert refused.value.status == INVALID_ARGUMENT


async def test_a_unary_call_without_a_message_is_refused() -> None:
    rig = UnaryRig()
    rig.handler.on_half_close()
    assert rig.call.ended == [(INVALID_ARGUMENT, "this call takes one message")]
    rig.handler.on_end(StreamEnded(0, ""))


@pytest.mark.parametrize(
    ("error", "status"),
    [(CallRefused("NOT_FOUND", "no such thing"), 5), (CallRefused("NO_SUCH_CODE", "odd"), INTERNAL)],
)
async def test_a_refusal_is_the_status_of_its_call(error: CallRefused, status: int) -> None:
    rig = UnaryRig(error)
    rig.may_answer.set()
    rig.receive()
    await rig.settle()
    assert rig.call.ended == [(status, str(error))]


async def test_a_fault_of_ours_is_logged_and_its_caller_learns_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    rig = UnaryRig(ValueError("a secret"))
    rig.may_answer.set()
    rig.receive()
    await rig.settle()
    ((status, why),) = rig.call.ended
    assert (status, "secret" in why, "a secret" in caplog.text) == (INTERNAL, False, True)


async def test_a_router_that_stops_ends_a_call_that_waits_as_unavailable() -> None:
    rig = UnaryRig()
    rig.receive()
    await asyncio.sleep(0)
    await rig.tasks.close()
    assert rig.call.ended == [(UNAVAILABLE, "the router stops")]


async def test_the_work_of_a_call_ends_with_it() -> None:
    rig = UnaryRig()
    rig.receive()
    await asyncio.sleep(0)
    rig.handler.on_end(StreamEnded(CANCELLED, ""))
    await rig.settle()
    assert rig.call.sent == []


class NarrowCall(RecordingCall):
    """Has room for as many messages as a test gives."""

    room = 0

    @property
    def writable(self) -> bool:
        return self.room > 0

    @writable.setter
    def writable(self, _value: bool) -> None:
        """`room` says so."""

    def send(self, message: bytes) -> None:
        super().send(message)
        self.room -= 1


async def test_the_next_response_of_a_stream_is_made_when_its_caller_has_room() -> None:
    call, tasks, made = NarrowCall(), BackgroundTasks(), []

    async def responses(request: pb.LocateRequest, _call: object) -> AsyncIterator[pb.LocateRequest]:
        for number in range(3):
            made.append(number)
            yield request

    handler = ServerStreamingCall(call, pb.LocateRequest, responses, tasks)  # type: ignore[arg-type]
    handler.on_message(TARGET.SerializeToString())
    handler.on_half_close()
    for number in range(3):
        call.room = 1
        handler.on_writable()
        while len(call.sent) <= number:
            await asyncio.sleep(0)
        handler.on_writable()  # there is no room yet
        for _ in range(3):
            await asyncio.sleep(0)
        assert (made, call.ended) == (list(range(number + 1)), [])
    call.room = 1
    handler.on_writable()
    while tasks.running():
        await asyncio.sleep(0)
    assert (len(call.sent), call.ended) == (3, [(0, "")])


async def test_a_push_stream_message_that_is_none_ends_it() -> None:
    handler = push_stream(FakeCall())
    with pytest.raises(StreamEnded) as refused:
        handler.on_message(b"\xff\xff")
    assert refused.value.status == INVALID_ARGUMENT


async def test_a_message_that_cannot_be_read_ends_the_stream_after_the_reports_before_it() -> None:
    call = FakeCall()
    call.has_room = True
    handler = push_stream(call)
    handler.on_message(pb.PushStreamRequest(pushes=[push(user="ada", push_id="p1")]).SerializeToString())
    call.on_unreadable(StreamEnded(INVALID_ARGUMENT, "not a message"))
    while not call.statuses:
        await asyncio.sleep(0)
    assert (call.reports, call.statuses) == (1, [INVALID_ARGUMENT])


async def test_a_caller_that_reads_no_reports_is_not_read_from_until_it_does(monkeypatch) -> None:
    monkeypatch.setattr(unread_reports, "MAX_BYTES", unread_reports.REPORT_BYTES)
    call = FakeCall()
    handler = push_stream(call)
    handler.on_message(pb.PushStreamRequest(pushes=[push(user="ada", push_id="p1")]).SerializeToString())
    assert call.paused
    call.has_room = True
    handler.on_writable()
    while not call.reports:
        await asyncio.sleep(0)
    assert not call.paused
    handler.on_end(StreamEnded(0, ""))


async def test_a_refused_call_has_nothing_to_write_and_nothing_to_end() -> None:
    handler = RefusedCall(FakeCall(), CallRefused("NOT_FOUND", "no"))
    handler.on_writable()
    handler.on_end(StreamEnded(0, ""))
