"""A PushStream whose router stops: it ends once every report has left, and not before."""

import asyncio

from homing.v1 import router_pb2 as pb
from router.api.grpc_calls import PushStreamHandler
from router.api.push_stream import PushStreamCall
from router.api.settings import ApiSettings
from router.push import CheckedPush
from tests.support.calls import push


class AtOnce:
    """A `Delivery` that reports at once."""

    def start(self, checked: CheckedPush, _received_ns: int, done) -> None:
        done(pb.PushReport(push_id=checked.push_id))


class Stream:
    """Takes one message, then is full until it is told otherwise."""

    def __init__(self) -> None:
        self.over = False
        self.room = True
        self.said = 0
        self.ends: list[int] = []

    @property
    def writable(self) -> bool:
        return self.room and not self.over

    def send(self, message: bytes) -> None:
        self.said += len(pb.PushStreamResponse.FromString(message).reports)
        self.room = False

    def end(self, status: int, _why: str = "") -> None:
        self.ends.append(status)
        self.over = True

    def stop_reading(self) -> None:
        """Nothing more comes."""

    def resume_reading(self) -> None:
        """Nothing more comes."""


async def test_reports_that_wait_for_a_full_stream_leave_before_it_ends() -> None:
    stream = Stream()
    call = PushStreamCall(ApiSettings(), AtOnce())
    listener = PushStreamHandler(stream, call, lambda _gone: None)
    for start in range(0, 600, 200):
        pushes = [push(user="ada", push_id=f"p{n}") for n in range(start, start + 200)]
        listener.on_message(pb.PushStreamRequest(pushes=pushes).SerializeToString())
    listener.leave()
    for _ in range(10):
        await asyncio.sleep(0)
        if stream.said < 600:
            assert stream.ends == []
        stream.room = True
        listener.on_writable()
    assert (stream.said, stream.ends) == (600, [14])
