"""Shell: the shapes of gRPC calls over one stream each: one answer, many answers, PushStream.

A refusal becomes a status whose trailing metadata names the field (`homing-field`) and when to come back
(`retry-after-ms`).
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from homing.v1 import router_pb2
from observability.traceparent import from_headers
from router.api.push_stream import PushStreamCall
from router.push import CallRefused
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.headerblocks import Headers
from runtime.grpc_wire.status import INTERNAL, INVALID_ARGUMENT, NAMES, OK, UNAVAILABLE, StreamEnded
from runtime.grpc_wire.write_batcher import WriteBatcher
from runtime.process.tasks import Tasks

log = logging.getLogger(__name__)

Q = TypeVar("Q", bound=Message)
CODES: Final = {name: number for number, name in enumerate(NAMES)}
LINGER: Final = 0.004  # seconds that a report waits for company, while its stream has other pushes under way
OURS: Final = CallRefused("INTERNAL", "the router failed; it is not your fault")


class UnaryCall(Generic[Q]):
    """A call that takes one message: read whole, then answered by a task, which ends with the call."""

    def __init__(self, call: Call, kind: type[Q], answer: Callable[[Q, Call], Awaitable[None]], tasks: Tasks) -> None:
        self._call = call
        self._kind = kind
        self._answer = answer
        self._tasks = tasks
        self._request: Q | None = None
        self._work: asyncio.Task[None] | None = None

    def on_message(self, message: bytes) -> None:
        if self._request is not None:
            raise StreamEnded(INVALID_ARGUMENT, "this call takes one message")
        try:
            self._request = self._kind.FromString(message)
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, f"not a {self._kind.DESCRIPTOR.full_name}") from None

    def on_writable(self) -> None:
        """One answer is small, and many wait by themselves (`Writable`)."""

    def on_half_close(self) -> None:
        if self._request is None:
            self._call.end(INVALID_ARGUMENT, "this call takes one message")
        else:
            self._work = self._tasks.start(self._run(self._request))

    async def _run(self, request: Q) -> None:
        try:
            await self._answer(request, self._call)
        except CallRefused as refused:
            refuse(self._call, refused)
        except asyncio.CancelledError:
            self._call.end(UNAVAILABLE, "the router stops")  # or the caller has gone, and nobody hears it
            raise
        except Exception:
            log.exception("a call failed by a fault of ours")
            refuse(self._call, OURS)

    def on_end(self, how: StreamEnded) -> None:
        if self._work is not None:
            self._work.cancel()


class ServerStreamingCall(UnaryCall[Q]):
    """A call with many answers. One that is not read by its caller is not asked for more."""

    def __init__(self, call: Call, kind: type[Q], answers: Callable[[Q], AsyncIterator[Message]], tasks: Tasks) -> None:
        super().__init__(call, kind, self._write_all, tasks)
        self._answers = answers
        self._writable = asyncio.Event()

    def on_writable(self) -> None:
        self._writable.set()

    async def _write_all(self, request: Q, call: Call) -> None:
        async for message in self._answers(request):
            call.send(message.SerializeToString())
            while not call.writable:
                self._writable.clear()
                await self._writable.wait()
        call.end()


class PushStreamHandler:
    """One PushStream on the wire: no task, no future; reports leave in batches (`runtime.grpc_wire.write_batcher`)."""

    def __init__(self, call: Call, pushes: PushStreamCall, gone: Callable[["PushStreamHandler"], None]) -> None:
        self._call = call
        self._pushes = pushes
        self._gone = gone
        self._batcher = WriteBatcher(self._write, LINGER)
        self._leaving = False
        pushes.on_some = self._batcher.request_write
        self._batcher.attach(call)

    def on_message(self, message: bytes) -> None:
        try:
            request = router_pb2.PushStreamRequest.FromString(message)
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, "not a PushStreamRequest") from None
        self._pushes.take(request, len(message), time.monotonic_ns())
        if not self._pushes.room:
            self._call.stop_reading()

    def on_writable(self) -> None:
        self._batcher.resume()

    def on_half_close(self) -> None:
        self._pushes.close()

    def leave(self) -> None:
        """The router stops: the stream ends as soon as nothing is under way."""
        self._leaving = True
        self._batcher.request_write()

    def on_end(self, how: StreamEnded) -> None:
        self._batcher.attach(None)
        self._gone(self)

    def _write(self, call: Call) -> None:
        pushes = self._pushes
        while call.writable and (reports := pushes.reports()) is not None:
            call.send(reports.SerializeToString())
        if pushes.over:
            call.end(OK)
        elif self._leaving and not pushes.under_way and not pushes.waiting:
            call.end(UNAVAILABLE, "the router stops")
        elif pushes.room:
            call.resume_reading()
        if not call.writable:
            self._batcher.request_write()


def refuse(call: Call, refused: CallRefused) -> None:
    """End a call with why it is not carried out."""
    more: Headers = [(b"homing-field", refused.field.encode())] if refused.field else []
    if refused.retry_after is not None:
        more.append((b"retry-after-ms", b"%d" % round(refused.retry_after * 1000)))
    call.end(CODES.get(refused.code, INTERNAL), str(refused), more)


def trace_of(call: Call) -> str:
    """The caller's trace, from the call's metadata."""
    named = dict(call.request)
    traceparent, trace_id = named.get(b"traceparent", b""), named.get(b"x-trace-id", b"")
    return from_headers(traceparent.decode("latin-1"), trace_id.decode("latin-1"))
