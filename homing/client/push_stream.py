"""All pushes of one `Router` over one PushStream: batched, bounded, resumed at the next router.

A push waits in `_queue` until the writer takes it, then in `_sent` until its report arrives. The writer takes all
pushes that were queued during the previous write, so an idle stream adds no delay and a busy stream sends full
messages. When the stream breaks, the pushes in `_sent` return to the front of `_queue`, in order, with the same
push_ids and the rest of their ttl: pushes to one target never overtake each other.

The first router may have delivered a push before it died. The owning gateway knows the push_id (docs/design.md,
"Order, healing, deadlines, dedup"): it answers DUPLICATE, or with the outcome of the first try if that is still open.
"""

import asyncio
import math
from collections import deque
from typing import TypeAlias

import grpc
import grpc.aio
import msgspec

from homing.client import responses
from homing.client.backoff import AddressRotation
from homing.client.channels import open_channel, wait_connected
from homing.client.errors import Refused, Unavailable
from homing.client.reachability import ATTEMPT, Reachability, last_reason
from homing.client.requests import to_duration, to_seconds
from homing.client.values import Report
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterStub

DEFAULT_TTL = 30.0  # seconds, the router's default
MAX_ATTEMPTS = 8  # of one push: a push that breaks every stream must not do so for ever
MAX_PUSH_BYTES = 8 * 1024 * 1024  # bytes; above the router's own limit, below the limit of a gRPC message
FOREVER = 1e9  # seconds
UNCOUNTED_WAIT = 0.005  # seconds; a longer wait before a push is sent shortens its ttl
PushCall: TypeAlias = "grpc.aio.StreamStreamCall[pb.PushStreamRequest, pb.PushStreamResponse]"

PERMANENT_ERRORS = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class PushBounds(msgspec.Struct, frozen=True):
    """Bounds of one stream. A push over the bounds in flight waits in the queue, as its caller awaits the report."""

    message_pushes: int = 256  # pushes in one message, the API's limit
    message_bytes: int = 1024 * 1024  # of one message; a larger push travels alone
    in_flight: int = 4096  # pushes sent and not reported
    in_flight_bytes: int = 16 * 1024 * 1024
    margin: float = 10.0  # seconds beyond a push's ttl and ack_timeout until its report counts as missing


class PendingPush:
    """A push whose report has not arrived."""

    __slots__ = ("attempts", "began_at", "expires_at", "report", "request", "sent_at", "size")

    def __init__(self, request: pb.PushRequest, report: "asyncio.Future[Report]", began_at: float) -> None:
        self.request = request
        self.began_at = began_at  # loop time
        self.report = report
        self.size = request.ByteSize() + 8  # with the field's header in the message
        self.attempts = 0
        self.sent_at = 0.0  # loop time
        ttl = _ttl(request)
        self.expires_at = began_at + ttl if ttl > 0 else math.inf  # loop time; other ttls are the router's to refuse


class PushStreamClient:
    """One PushStream at a time. `run` must run beside the pushes; it ends only by cancellation."""

    def __init__(self, addresses: AddressRotation, bounds: PushBounds, reachability: Reachability) -> None:
        self._addresses = addresses
        self._reachability = reachability
        self._bounds = bounds
        self._queue: deque[PendingPush] = deque()
        self._sent: dict[str, PendingPush] = {}  # by push_id, in sending order
        self._sent_bytes = 0
        self._pending_ids: set[str] = set()  # push_ids in `_queue` or `_sent`
        self._wake = asyncio.Event()  # set when there is a push to write, or room in flight
        self._stream_silent = asyncio.Event()  # set when the current stream must end for want of reports
        self._last_message_at = 0.0  # loop time
        self._last_error = "no router answered"
        self._closing = False

    async def push(self, request: pb.PushRequest) -> Report:
        """Queue the push and await its report. Raises Refused, Unavailable; ValueError: its push_id is pending."""
        if request.push_id in self._pending_ids:
            raise ValueError(f"push_id {request.push_id!r} is under way; a retry waits for the first try's report")
        loop = asyncio.get_running_loop()
        pending = PendingPush(request, loop.create_future(), loop.time())
        if pending.size > MAX_PUSH_BYTES:
            raise Refused("INVALID_ARGUMENT", f"a push of {pending.size} bytes; at most {MAX_PUSH_BYTES}", "data")
        self._pending_ids.add(request.push_id)
        self._queue.append(pending)
        self._wake.set()
        try:
            async with asyncio.timeout(_report_timeout(request, self._bounds.margin)):
                return await pending.report
        except TimeoutError:
            self._end_silent_stream(pending)
            what = "it may or may not have been delivered" if pending.attempts else "it was not sent"
            raise Unavailable(f"no report in time, {what}: {self._last_error}") from None
        finally:
            self._pending_ids.discard(request.push_id)

    def _end_silent_stream(self, pending: PendingPush) -> None:
        """End the stream when it has been silent since the push was sent: the next router may answer."""
        if pending.attempts and self._last_message_at <= pending.sent_at:
            self._stream_silent.set()

    async def run(self) -> None:
        """Keep a stream open while there are pushes; rotate through the routers with a back-off.

        To end: `close`, then cancel. A stream that breaks at that moment would otherwise swallow the cancellation.
        """
        try:
            while not self._closing:
                await self._wait_queued()
                await self._run_stream()
                self._requeue_unreported()
                self._fail_unreachable()
                await asyncio.sleep(
                    min(self._addresses.failed(), self._reachability.longest_delay, self._next_give_up())
                )
                self._fail_unreachable()
        finally:
            self._fail_all(Unavailable("the Router was closed; what was sent may or may not have been delivered"))

    def close(self) -> None:
        """Stop opening streams."""
        self._closing = True

    async def _wait_queued(self) -> None:
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()

    async def _run_stream(self) -> None:
        """Open one stream and use it until it breaks."""
        address = self._addresses.address
        async with open_channel(address) as channel:
            if not await self._connect(channel, address):
                return
            call = RouterStub(channel).PushStream()  # type: ignore[no-untyped-call]
            self._stream_silent.clear()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._write_pushes(call))
                    group.create_task(self._read_reports(call))
                    group.create_task(self._end_when_silent())
            except* (grpc.RpcError, asyncio.InvalidStateError, _StreamEnded):
                await self._record_stream_end(call)
            finally:
                call.cancel()

    async def _connect(self, channel: grpc.aio.Channel, address: str) -> bool:
        """Whether the router takes the connection, or refuses it, which the call then says with its reason."""
        try:
            await wait_connected(channel, min(ATTEMPT, max(0.05, self._next_give_up())))
        except TimeoutError:
            self._last_error = f"{address}: no answer"
            self._reachability.failed(address, "no answer")
            return False
        return True

    async def _end_when_silent(self) -> None:
        await self._stream_silent.wait()
        raise _StreamEnded

    async def _write_pushes(self, call: PushCall) -> None:
        loop = asyncio.get_running_loop()
        await call.wait_for_connection()  # before the first push leaves the queue
        self._reachability.reached(self._addresses.address)
        while True:
            batch = self._take_batch(loop.time())
            if batch:
                await call.write(pb.PushStreamRequest(pushes=batch))
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take_batch(self, now: float) -> list[pb.PushRequest]:
        """The pushes of the next message; each counts as sent from now on."""
        bounds, size = self._bounds, 0
        batch: list[pb.PushRequest] = []
        while self._queue and len(batch) < bounds.message_pushes and len(self._sent) < bounds.in_flight:
            pending = self._queue[0]
            if pending.report.done() or self._is_expired(pending, now):
                self._queue.popleft()
                continue
            if batch and size + pending.size > bounds.message_bytes:
                break
            if self._sent and self._sent_bytes + pending.size > bounds.in_flight_bytes:
                break
            self._queue.popleft()
            self._mark_sent(pending, now)
            batch.append(pending.request)
            size += pending.size
        return batch

    def _is_expired(self, pending: PendingPush, now: float) -> bool:
        """Whether its ttl is over, which its caller is told."""
        if now < pending.expires_at:
            return False
        what = "it may or may not have been delivered" if pending.attempts else "it was not sent"
        pending.report.set_exception(Unavailable(f"its ttl is over, {what}: {self._last_error}"))
        return True

    def _mark_sent(self, pending: PendingPush, now: float) -> None:
        if now - pending.began_at > UNCOUNTED_WAIT and pending.expires_at < math.inf:
            pending.request.ttl.CopyFrom(to_duration(pending.expires_at - now))
        pending.attempts += 1
        pending.sent_at = now
        self._sent[pending.request.push_id] = pending
        self._sent_bytes += pending.size

    async def _read_reports(self, call: PushCall) -> None:
        loop = asyncio.get_running_loop()
        async for response in call:
            self._addresses.succeeded()
            self._last_message_at = loop.time()
            for report in response.reports:
                self._complete(report)
            self._wake.set()
        raise _StreamEnded

    def _complete(self, report: pb.PushReport) -> None:
        pending = self._sent.pop(report.push_id, None)
        if pending is None:
            return  # its caller gave up before the stream broke, or the router repeated the report
        self._sent_bytes -= pending.size
        if pending.report.done():
            return
        try:
            pending.report.set_result(responses.decode_report(report))
        except Refused as refused:
            pending.report.set_exception(refused)

    async def _record_stream_end(self, call: PushCall) -> None:
        """Record why the stream broke. An error that no other router would cure fails every pending push."""
        if self._stream_silent.is_set():  # our own cancellation has ended the call
            self._last_error = f"{self._addresses.address} sends no reports"
            return
        code, details = await call.code(), await call.details()
        self._last_error = f"{self._addresses.address}: {details or 'it ended the stream'}"
        if not await call.initial_metadata():  # no router has answered this stream
            self._reachability.failed(self._addresses.address, last_reason(details or "no answer"))
        if code in PERMANENT_ERRORS:
            self._fail_all(Refused(code.name, details or ""))

    def _requeue_unreported(self) -> None:
        """Return the unreported pushes to the front of the queue, in order, with the rest of their ttl."""
        now = asyncio.get_running_loop().time()
        unreported = [pending for pending in self._sent.values() if not pending.report.done()]
        self._sent.clear()
        self._sent_bytes = 0
        for pending in reversed(unreported):
            ttl_left = pending.expires_at - now
            if ttl_left <= 0 or pending.attempts >= MAX_ATTEMPTS:
                reason = "its ttl is over" if ttl_left <= 0 else f"it was sent {pending.attempts} times"
                pending.report.set_exception(
                    Unavailable(f"{self._last_error}; {reason}, and it may or may not have been delivered")
                )
                continue
            self._queue.appendleft(pending)

    def _next_give_up(self) -> float:
        """Seconds until the first push that was never sent has waited long enough for any router."""
        unsent = (pending.began_at for pending in self._queue if not pending.attempts and not pending.report.done())
        first = min(unsent, default=None)
        if first is None:
            return FOREVER
        return max(0.0, self._reachability.give_up_at(first) - asyncio.get_running_loop().time())

    def _fail_unreachable(self) -> None:
        """Fail what was never sent and has waited for any router long enough. What was sent once keeps its ttl."""
        now = asyncio.get_running_loop().time()
        for pending in self._queue:
            if pending.attempts or pending.report.done() or now < self._reachability.give_up_at(pending.began_at):
                continue
            pending.report.set_exception(Unavailable(f"{self._reachability.describe()}; it was not sent"))
        self._queue = deque(pending for pending in self._queue if not pending.report.done())

    def _fail_all(self, error: Exception) -> None:
        for pending in (*self._sent.values(), *self._queue):
            if not pending.report.done():
                pending.report.set_exception(error)
        self._sent.clear()
        self._sent_bytes = 0
        self._queue.clear()


class _StreamEnded(Exception):
    """The router closed the stream, or the stream was silent for too long."""


def _ttl(request: pb.PushRequest) -> float:
    return to_seconds(request.ttl) if request.HasField("ttl") else DEFAULT_TTL


def _report_timeout(request: pb.PushRequest, margin: float) -> float:
    """Seconds after which no report will arrive: the ttl, the wait for acks and a margin are over."""
    return max(0.0, _ttl(request)) + max(0.0, to_seconds(request.ack_timeout)) + margin
