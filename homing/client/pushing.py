"""All pushes of one `Router` over one PushStream: batched by what has gathered, bounded, resumed after a router died.

A push waits in `_queue` until the writer takes it, then in `_sent` until its report comes. The writer takes what has
gathered while the write before was under way, so an idle stream adds no delay and a busy one sends full messages. When
the stream breaks, what is in `_sent` goes back to the front of `_queue`, in its old order, with the same push_ids and
what is left of its ttl: so pushes to one target never overtake each other.

A push that is sent again may arrive twice: the first router may have delivered it before it died, and only the owner's
dedup (not built yet) can tell. The push_id is in the client's frame, so clients can drop what they have seen.
"""

import asyncio
from collections import deque
from typing import TypeAlias

import grpc
import grpc.aio
import msgspec

from homing.client import answers
from homing.client.backoff import AddressRotation
from homing.client.channels import open_channel
from homing.client.errors import Refused, Unavailable
from homing.client.requests import duration, seconds
from homing.client.values import Report
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterStub

DEFAULT_TTL = 30.0  # seconds, the router's own
MAX_SENDS = 8  # of one push; one that ends the stream each time must not do so for ever
MAX_PUSH = 8 * 1024 * 1024  # bytes; a router's own limit lies below, this keeps a message within what gRPC takes
PushCall: TypeAlias = "grpc.aio.StreamStreamCall[pb.PushStreamRequest, pb.PushStreamResponse]"

FOR_GOOD = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class PushBounds(msgspec.Struct, frozen=True):
    """What one stream carries. A push over the bounds in flight waits for its turn: its caller awaits it anyway."""

    message_pushes: int = 256  # in one message, as the API has it
    message_bytes: int = 1024 * 1024  # of one message; a larger push goes alone
    in_flight: int = 4096  # pushes sent and not answered
    in_flight_bytes: int = 16 * 1024 * 1024
    margin: float = 10.0  # seconds that a report may be late beyond its push's ttl and ack_timeout


class PendingPush:
    """A push without its report."""

    __slots__ = ("answer", "expires", "request", "sends", "sent_at", "size")

    def __init__(self, request: pb.PushRequest, answer: "asyncio.Future[Report]") -> None:
        self.request = request
        self.answer = answer
        self.size = request.ByteSize() + 8  # and its frame within the message
        self.sends = 0
        self.sent_at = 0.0  # loop time
        self.expires = 0.0  # loop time; set when it is sent first


class PushStreamClient:
    """One stream at a time. `run` must run beside the pushes; it ends only when it is cancelled."""

    def __init__(self, turns: AddressRotation, bounds: PushBounds) -> None:
        self._turns = turns
        self._bounds = bounds
        self._queue: deque[PendingPush] = deque()
        self._sent: dict[str, PendingPush] = {}  # by push_id, in the order of sending
        self._sent_bytes = 0
        self._under_way: set[str] = set()  # push_ids queued or sent
        self._wake = asyncio.Event()  # something to write, or room for it
        self._silent = asyncio.Event()  # the stream in use should end
        self._heard_at = 0.0  # loop time of the last message from the router
        self._last_error = "no router answered"
        self._closing = False

    async def push(self, request: pb.PushRequest) -> Report:
        """Send it in its turn; the report. Raises Refused, Unavailable; ValueError: its push_id is under way."""
        if request.push_id in self._under_way:
            raise ValueError(f"push_id {request.push_id!r} is under way; a retry waits for the first try's report")
        pending = PendingPush(request, asyncio.get_running_loop().create_future())
        if pending.size > MAX_PUSH:
            raise Refused("INVALID_ARGUMENT", f"a push of {pending.size} bytes; at most {MAX_PUSH}", "data")
        self._under_way.add(request.push_id)
        self._queue.append(pending)
        self._wake.set()
        try:
            async with asyncio.timeout(_patience(request, self._bounds.margin)):
                return await pending.answer
        except TimeoutError:
            self._suspect(pending)
            what = "it may or may not have been delivered" if pending.sends else "it was not sent"
            raise Unavailable(f"no report in time, {what}: {self._last_error}") from None
        finally:
            self._under_way.discard(request.push_id)

    def _suspect(self, pending: PendingPush) -> None:
        """A report that does not come, on a stream that is silent since: end the stream, the next router may answer."""
        if pending.sends and self._heard_at <= pending.sent_at:
            self._silent.set()

    async def run(self) -> None:
        """Keep a stream while there is something to push; go from router to router, with a back-off.

        To end it, call `close` and cancel it: a stream that breaks at that very moment would swallow the cancellation.
        """
        try:
            while not self._closing:
                await self._wait_work()
                await self._serve()
                self._send_again()
                await asyncio.sleep(self._turns.failed())
        finally:
            self._fail_all(Unavailable("the Router was closed; what was sent may or may not have been delivered"))

    def close(self) -> None:
        """Open no more streams."""
        self._closing = True

    async def _wait_work(self) -> None:
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()

    async def _serve(self) -> None:
        """One stream, until it breaks."""
        async with open_channel(self._turns.address) as channel:
            call = RouterStub(channel).PushStream()  # type: ignore[no-untyped-call]
            self._silent.clear()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._write(call))
                    group.create_task(self._read(call))
                    group.create_task(self._end_when_silent())
            except* (grpc.RpcError, asyncio.InvalidStateError, _StreamEnded):
                await self._note_end(call)
            finally:
                call.cancel()

    async def _end_when_silent(self) -> None:
        await self._silent.wait()
        raise _StreamEnded

    async def _write(self, call: PushCall) -> None:
        loop = asyncio.get_running_loop()
        await call.wait_for_connection()  # what is taken from now on may arrive
        while True:
            batch = self._take(loop.time())
            if batch:
                await call.write(pb.PushStreamRequest(pushes=batch))
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take(self, now: float) -> list[pb.PushRequest]:
        """What one message may carry now; each taken push counts as sent."""
        bounds, size = self._bounds, 0
        batch: list[pb.PushRequest] = []
        while self._queue and len(batch) < bounds.message_pushes and len(self._sent) < bounds.in_flight:
            pending = self._queue[0]
            if pending.answer.done():  # its caller has gone
                self._queue.popleft()
                continue
            if batch and size + pending.size > bounds.message_bytes:
                break
            if self._sent and self._sent_bytes + pending.size > bounds.in_flight_bytes:
                break
            self._queue.popleft()
            self._note_sent(pending, now)
            batch.append(pending.request)
            size += pending.size
        return batch

    def _note_sent(self, pending: PendingPush, now: float) -> None:
        pending.sends += 1
        pending.sent_at = now
        pending.expires = pending.expires or now + _ttl(pending.request)
        self._sent[pending.request.push_id] = pending
        self._sent_bytes += pending.size

    async def _read(self, call: PushCall) -> None:
        loop = asyncio.get_running_loop()
        async for response in call:
            self._turns.worked()
            self._heard_at = loop.time()
            for report in response.reports:
                self._settle(report)
            self._wake.set()
        raise _StreamEnded

    def _settle(self, report: pb.PushReport) -> None:
        pending = self._sent.pop(report.push_id, None)
        if pending is None:
            return  # its caller gave up before the stream broke, or the router repeats itself
        self._sent_bytes -= pending.size
        if pending.answer.done():
            return
        try:
            pending.answer.set_result(answers.report(report))
        except Refused as refused:
            pending.answer.set_exception(refused)

    async def _note_end(self, call: PushCall) -> None:
        """Remember why the stream broke; what will not be better elsewhere is told to all who wait."""
        if not call.done():
            self._last_error = f"{self._turns.address} is silent"
            return
        code, details = await call.code(), await call.details()
        self._last_error = f"{self._turns.address}: {details or 'it ended the stream'}"
        if code in FOR_GOOD:
            self._fail_all(Refused(code.name, details or ""))

    def _send_again(self) -> None:
        """Put what has no report back to the front, in its old order, with what is left of its ttl."""
        now = asyncio.get_running_loop().time()
        again = [pending for pending in self._sent.values() if not pending.answer.done()]
        self._sent.clear()
        self._sent_bytes = 0
        for pending in reversed(again):
            left = pending.expires - now
            if left <= 0 or pending.sends >= MAX_SENDS:
                why = "its ttl is over" if left <= 0 else f"it was sent {pending.sends} times"
                pending.answer.set_exception(
                    Unavailable(f"{self._last_error}; {why}, and it may or may not have been delivered")
                )
                continue
            pending.request.ttl.CopyFrom(duration(left))
            self._queue.appendleft(pending)

    def _fail_all(self, error: Exception) -> None:
        for pending in (*self._sent.values(), *self._queue):
            if not pending.answer.done():
                pending.answer.set_exception(error)
        self._sent.clear()
        self._sent_bytes = 0
        self._queue.clear()


class _StreamEnded(Exception):
    """The router closed the stream, since it is stopping, or we are tired of its silence."""


def _ttl(request: pb.PushRequest) -> float:
    return seconds(request.ttl) if request.HasField("ttl") else DEFAULT_TTL


def _patience(request: pb.PushRequest, margin: float) -> float:
    """Seconds after which no report will come: the push is over, and so is the wait for acks."""
    return max(0.0, _ttl(request)) + max(0.0, seconds(request.ack_timeout)) + margin
