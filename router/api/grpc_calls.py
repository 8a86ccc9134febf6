"""Shell: the kinds of gRPC calls, each over one stream: unary, server streaming, PushStream, refused.

A refusal becomes a status. Its trailing metadata names the field (`homing-field`) and the time to wait before a retry
(`retry-after-ms`); see docs/api.md, "Statuses".
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from homing.v1 import router_pb2
from observability.traceparent import from_headers
from router.api.push_stream import OnReport, PushStreamCall
from router.api.unread_reports import UnreadReports
from router.push import CallRefused
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.header_blocks import HeaderFields
from runtime.grpc_wire.status import INTERNAL, INVALID_ARGUMENT, OK, STATUS_NAMES, UNAVAILABLE, StreamEnded
from runtime.grpc_wire.write_batcher import WriteBatcher
from runtime.process.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)

Q = TypeVar("Q", bound=Message)
CODES: Final = {name: number for number, name in enumerate(STATUS_NAMES)}
LINGER: Final = 0.004  # seconds that a report waits for others, while its stream has pushes in flight
ROUTER_FAILED: Final = CallRefused("INTERNAL", "the router failed; your request is not the cause")


class UnaryCall(Generic[Q]):
    """A call with one request. A task answers it, after the caller's half-close, and ends with the call."""

    def __init__(
        self, call: Call, kind: type[Q], answer: Callable[[Q, Call], Awaitable[None]], tasks: BackgroundTasks
    ) -> None:
        """`kind`: the request's message. `answer`: sends, and ends the call; may raise CallRefused."""
        self._call = call
        self._kind = kind
        self._answer = answer
        self._tasks = tasks
        self._request: Q | None = None
        self._task: asyncio.Task[None] | None = None
        call.keep_messages()

    def on_message(self, message: bytes) -> None:
        if self._request is not None:
            raise StreamEnded(INVALID_ARGUMENT, "this call takes one message")
        try:
            self._request = self._kind.FromString(message)
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, f"not a {self._kind.DESCRIPTOR.full_name}") from None

    def on_writable(self) -> None:
        """One response is sent whether the stream is writable or not."""

    def on_half_close(self) -> None:
        if self._request is None:
            self._call.end(INVALID_ARGUMENT, "this call takes one message")
        else:
            self._task = self._tasks.start(self._run(self._request))

    async def _run(self, request: Q) -> None:
        try:
            await self._answer(request, self._call)
        except CallRefused as refused:
            end_refused(self._call, refused)
        except asyncio.CancelledError:
            self._call.end(UNAVAILABLE, "the router stops")  # without effect when the caller has ended the call
            raise
        except Exception:
            log.exception("a call failed in the router")
            end_refused(self._call, ROUTER_FAILED)

    def on_end(self, how: StreamEnded) -> None:
        if self._task is not None:
            self._task.cancel()


class ServerStreamingCall(UnaryCall[Q]):
    """A call with one request and many responses. The next response is made when the caller has room for it."""

    def __init__(
        self, call: Call, kind: type[Q], responses: Callable[[Q, Call], AsyncIterator[Message]], tasks: BackgroundTasks
    ) -> None:
        super().__init__(call, kind, self._send_all, tasks)
        self._responses = responses
        self._writable = asyncio.Event()

    def on_writable(self) -> None:
        self._writable.set()

    async def _send_all(self, request: Q, call: Call) -> None:
        async for message in self._responses(request, call):
            call.send(message.SerializeToString())
            while not call.writable:
                self._writable.clear()
                await self._writable.wait()
        call.end()


class PushStreamHandler:
    """One PushStream: no task, no future; reports leave in batches (runtime/grpc_wire/write_batcher.py)."""

    def __init__(
        self,
        call: Call,
        open_stream: Callable[[OnReport], PushStreamCall],
        on_closed: Callable[["PushStreamHandler"], None],
        unread: UnreadReports,
    ) -> None:
        """`open_stream`: called once, here. `on_closed`: called once, when the stream has ended."""
        self._call = call
        self._on_closed = on_closed
        self._unread = unread
        self._batcher = WriteBatcher(self._write, LINGER)
        self._pushes = open_stream(self._batcher.request_write)
        self._draining = False
        self._unreadable: StreamEnded | None = None
        self._batcher.attach(call)
        call.on_unreadable = self._finish_unreadable

    def on_message(self, message: bytes) -> None:
        if self._draining:
            return  # what has no report was not read, and is the next router's
        try:
            request = router_pb2.PushStreamRequest.FromString(message)
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, "not a PushStreamRequest") from None
        self._pushes.receive(request, len(message), time.monotonic_ns())
        if not self._pushes.has_room:
            self._call.pause_reading()
            self._unread.wait_for_room(self._call.resume_reading)

    def on_writable(self) -> None:
        self._batcher.resume()

    def on_half_close(self) -> None:
        self._pushes.close()

    def drain(self) -> None:
        """The router stops: read no more, and end the stream as soon as no push is in flight.

        So a caller that sends again what has no report repeats nothing, unless the stream is cut before.
        """
        self._draining = True
        self._batcher.request_write()

    def on_end(self, how: StreamEnded) -> None:
        self._batcher.attach(None)
        self._unread.forget(self._call.resume_reading)
        self._pushes.drop_reports()
        self._on_closed(self)

    def _finish_unreadable(self, how: StreamEnded) -> None:
        """The caller's messages cannot be read on: the pushes before are reported, then the stream ends with `how`."""
        self._unreadable = how
        self._pushes.close()

    def _write(self, call: Call) -> None:
        pushes = self._pushes
        while call.writable and (response := pushes.next_response()) is not None:
            call.send(response.SerializeToString())
        if pushes.finished:
            how = self._unreadable or StreamEnded(OK, "")
            call.end(how.status, how.message)
        elif self._draining and not pushes.in_flight and not pushes.has_reports:
            call.end(UNAVAILABLE, "draining: the router stops; what has no report was not read")
        if not call.writable:
            self._batcher.request_write()


class RefusedCall:
    """A call that is refused whatever its messages are: at its first message, or its half-close."""

    def __init__(self, call: Call, refused: CallRefused) -> None:
        self._call = call
        self._refused = refused

    def on_message(self, message: bytes) -> None:
        end_refused(self._call, self._refused)

    def on_writable(self) -> None:
        """Nothing waits."""

    def on_half_close(self) -> None:
        end_refused(self._call, self._refused)

    def on_end(self, how: StreamEnded) -> None:
        """Nothing is kept."""


def end_refused(call: Call, refused: CallRefused) -> None:
    """End a call with the status of a refusal."""
    metadata: HeaderFields = [(b"homing-field", refused.field.encode())] if refused.field else []
    if refused.retry_after is not None:
        metadata.append((b"retry-after-ms", b"%d" % round(refused.retry_after * 1000)))
    call.end(CODES.get(refused.code, INTERNAL), str(refused), metadata)


def traceparent_of(call: Call) -> str:
    """The caller's traceparent, from the metadata `traceparent` or `x-trace-id`; "" for none."""
    metadata = dict(call.request_headers)
    traceparent, trace_id = metadata.get(b"traceparent", b""), metadata.get(b"x-trace-id", b"")
    return from_headers(traceparent.decode("latin-1"), trace_id.decode("latin-1"))
