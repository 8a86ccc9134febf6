"""Shell: the hop over one bidirectional gRPC stream.

Calls gather in one message while the previous message is being written, so a batch needs no timer and an idle hop adds
no latency. When the stream breaks, every open call is answered None at once; so it is when three pings in a row were
not answered. Silence is counted in pings, not in seconds: pings that the router itself was too busy to send are no
evidence (docs/design.md, "One stream per incarnation").
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.hop.port import OnAnswer, OnChange, OnHandled, OutgoingPush, ignore_handled
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import dial
from runtime.grpc_wire.shared_secret import NO_SECRET, SharedSecret
from runtime.grpc_wire.status import INTERNAL, StreamEnded
from runtime.grpc_wire.write_batcher import WriteBatcher
from runtime.process.setting_types import Bytes, Count, Seconds

log = logging.getLogger(__name__)

PATH = "/homing.internal.v1.Node/Stream"
OPEN_TIMEOUT = 1.0  # seconds for a dial and the exchange of hellos
REDIAL = 0.02  # seconds between the first dials of a node that has just registered
FIRST_BACK_OFF = 0.05  # seconds
STABLE_AFTER = 5.0  # seconds; after a stream that lasted longer, back-off starts anew
PUSH_LIMIT = 5.0  # seconds beyond its ack_timeout; an owner's report is due 1 s after its last write
REQUEST_LIMIT = 10.0  # seconds; a join waits for the registry's commit and the routers' tables
SILENT_PINGS = 3  # pings in a row without an answer
PUSHES_TAG = b"\x12"  # RouterMessage.pushes on the wire (field 2, length-delimited)

OpenCall = tuple[Callable[[Any], None], float]
"""Called with the answer (None: no answer), and the loop time at which the call expires."""


class HopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.hop]`: bounds of one stream."""

    queue: Count = 8192  # Calls to one gateway that were sent and not answered yet.
    queue_bytes: Bytes = 16 * 1024 * 1024  # Bytes of payload for one gateway that are not written yet.
    ping: Seconds = 0.25  # Seconds between two pings; after three without an answer the gateway is unreachable.
    back_off: Seconds = 1.0  # Seconds between two dials of one gateway at most.


class StreamHop:
    """See `router.hop.port.Hop`. One stream at a time to one incarnation."""

    def __init__(
        self,
        router: str,
        incarnation: Incarnation,
        address: str,
        settings: HopSettings,
        batch: Callable[[], int],
        fencing: Callable[[Incarnation], Awaitable["node_pb2.Fencing.State"]],
        on_change: OnChange,
        on_handled: OnHandled = ignore_handled,
        *,
        unregistered: bool = False,
        broadcasts: bool = False,
        secret: SharedSecret = NO_SECRET,
    ) -> None:
        """`router`: this process, as its hello names it. `address`: the node's, host:port. `unregistered`: what holds
        until the node says otherwise. `broadcasts`: whether pushes go over the bus.

        `batch`: the newest registration batch of the incarnation in the table. `fencing`: answers fencing queries.
        """
        self.incarnation = incarnation
        self.unregistered = unregistered
        self._broadcasts = broadcasts
        self._secret = secret
        self.stats: node_pb2.Stats | None = None
        self._stats_requested = False
        self._router = router
        self._address = address
        self._settings = settings
        self._batch = batch
        self._fencing = fencing
        self._on_change = on_change
        self._on_handled = on_handled
        self._opened = asyncio.Event()
        self._connected = False
        self._dialling = True  # not connected yet, and the first dials go on: calls gather
        self._first_dials_until = 0.0  # loop time; a node that has just registered may refuse the first dials
        self._unanswered_pings = 0  # in a row
        self._last_ping = 0
        self._last_call = 0
        self._open: dict[int, OpenCall] = {}
        self._epoch = b"\x10" + varint(incarnation.epoch)  # Push.epoch on the wire
        self._pushes: list[bytes] = []  # gathered for the next message, beside `_out`
        self._out = node_pb2.RouterMessage()
        self._out_bytes = 0
        self._batcher = WriteBatcher(self._write)
        self._fencing_queries: asyncio.Queue[int] = asyncio.Queue(16)  # a node has one query open at a time
        self._loop = asyncio.get_running_loop()

    # The port

    @property
    def reachable(self) -> bool:
        return self._dialling or (self._connected and self._unanswered_pings < SILENT_PINGS)

    def has_room(self, size: int) -> bool:
        settings = self._settings
        return len(self._open) < settings.queue and self._out_bytes + size <= settings.queue_bytes

    def push(self, push: OutgoingPush, on_answer: OnAnswer) -> None:
        if not self.reachable:
            on_answer(None)
            return
        self._last_call += 1
        self._open[self._last_call] = on_answer, self._loop.time() + PUSH_LIMIT + push.ack_timeout
        call_and_epoch = b"\x08" + varint(self._last_call) + self._epoch
        self._pushes += (PUSHES_TAG, varint(len(push.raw) + len(call_and_epoch)), push.raw, call_and_epoch)
        self._out_bytes += push.size
        self._batcher.request_write()

    def request(self, request: node_pb2.NodeRequest) -> "asyncio.Future[node_pb2.NodeResponse | None]":
        future: asyncio.Future[node_pb2.NodeResponse | None] = self._loop.create_future()
        if not self.reachable:
            future.set_result(None)
            return future
        self._last_call += 1
        self._open[self._last_call] = partial(_resolve, future), self._loop.time() + REQUEST_LIMIT
        request.call = self._last_call
        self._out.requests.append(request)
        self._batcher.request_write()
        return future

    def request_stats(self, enabled: bool) -> None:
        self._stats_requested = self._out.send_stats = enabled
        self.stats = self.stats if enabled else None
        self._batcher.request_write()

    def report_batch(self, batch: int) -> None:
        self._out.table_batch = batch
        self._batcher.request_write()

    async def wait_opened(self) -> None:
        await self._opened.wait()

    # The stream

    async def run(self) -> None:
        back_off = FIRST_BACK_OFF
        self._first_dials_until = self._loop.time() + OPEN_TIMEOUT
        try:
            while True:
                began = self._loop.time()
                try:
                    await self._run_stream()
                except* (StreamEnded, OSError, TimeoutError) as errors:
                    log.info("the stream to %s at %s is down: %s", self.incarnation, self._address, _reason(errors))
                except* Exception:  # whatever it is, it must end this stream and no other
                    log.exception("the stream to %s at %s has failed", self.incarnation, self._address)
                if self._dialling and self._loop.time() < self._first_dials_until:
                    await asyncio.sleep(REDIAL)
                    continue
                self._on_down()
                stable = self._loop.time() - began > STABLE_AFTER
                back_off = FIRST_BACK_OFF if stable else min(self._settings.back_off, back_off * 2)
                await asyncio.sleep(back_off * random.uniform(0.5, 1))
        finally:
            self._on_down()

    async def _run_stream(self) -> None:
        """Dial, and serve the stream until its end. Raises what ended the stream."""
        handler = _NodeStreamHandler(self._on_hello, self._on_message, self._batcher.resume)
        call: Call | None = None
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                call = await dial(self._address, PATH, handler, metadata=self._secret.metadata())
                call.send(self._hello().SerializeToString())
                await handler.opened
            self._batcher.attach(call)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ping())
                group.create_task(self._answer_fencing())
                raise await handler.ended
        finally:
            self._batcher.attach(None)
            if call is not None:
                call.cancel()

    def _hello(self) -> node_pb2.RouterMessage:
        incarnation = self.incarnation
        hello = node_pb2.RouterHello(
            router=self._router, node=incarnation.node, epoch=incarnation.epoch, broadcast=self._broadcasts
        )
        return node_pb2.RouterMessage(hello=hello, table_batch=self._batch(), sent_ns=time.monotonic_ns())

    def _on_hello(self, hello: node_pb2.NodeHello) -> None:
        """The node has answered: the stream is open."""
        if hello.broadcast != self._broadcasts:
            text = "%s is not in the %s mode of this router: no push arrives; set the same [delivery] mode for both"
            log.error(text, self.incarnation, "broadcast" if self._broadcasts else "routed")
        self._connected, self._dialling, self._unanswered_pings = True, False, 0
        self.report_batch(self._batch())
        self._out.send_stats = self._stats_requested
        self._opened.set()
        self._on_change(self)

    def _write(self, call: Call) -> None:
        out, self._out, self._out_bytes = self._out, node_pb2.RouterMessage(), 0
        pushes, self._pushes = self._pushes, []
        out.sent_ns = time.monotonic_ns()
        # The fields of one message may come in any order and in pieces, so the encoded pushes are appended as they are.
        call.send(out.SerializeToString() + b"".join(pushes))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping)
            self._unanswered_pings += 1
            if self._unanswered_pings == SILENT_PINGS:
                log.warning("%s at %s is silent", self.incarnation, self._address)
                self._fail_open_calls()
                self._on_change(self)
            self._fail_expired_calls()
            self._last_ping += 1
            self._out.ping = self._last_ping
            self._batcher.request_write()

    async def _answer_fencing(self) -> None:
        while True:
            query = await self._fencing_queries.get()
            state = await self._fencing(self.incarnation)  # before `_out` is read: a message may leave meanwhile
            self._out.fencing.add(query=query, state=state)
            self._batcher.request_write()

    def _on_message(self, message: node_pb2.NodeMessage) -> None:
        was_silent = False
        if message.pong or message.pushes or message.responses:  # others do not show that the way there is open
            was_silent, self._unanswered_pings = self._unanswered_pings >= SILENT_PINGS, 0
        for answer in message.pushes:
            if (open_call := self._open.pop(answer.call, None)) is not None:
                open_call[0](answer)
        for response in message.responses:
            if (open_call := self._open.pop(response.call, None)) is not None:
                open_call[0](response)
        changed = message.HasField("unregistered") and message.unregistered.any != self.unregistered
        if changed:
            self.unregistered = message.unregistered.any
        if message.HasField("stats"):
            self.stats, changed = message.stats, True
        if changed or was_silent:
            self._on_change(self)
        if message.HasField("handled"):
            self._on_handled(self.incarnation, message.handled)
        for query in message.fencing_queries:
            self._fencing_queries.put_nowait(query.query)

    def _on_down(self) -> None:
        """The stream has ended, or the first dials have failed."""
        was_reachable = self._connected or self._dialling
        # `unregistered` stays: the node still holds those sessions, it only does not answer.
        self._connected = self._dialling = False
        self._fail_open_calls()
        self._out, self._pushes, self._out_bytes = node_pb2.RouterMessage(), [], 0
        self._opened.set()
        if was_reachable:
            self._on_change(self)

    def _fail_open_calls(self) -> None:
        open_calls, self._open = self._open, {}
        for on_answer, _ in open_calls.values():
            on_answer(None)

    def _fail_expired_calls(self) -> None:
        """Answer None to calls that a node which answers pings has not answered in time."""
        now = self._loop.time()
        for call, (on_answer, expires) in list(self._open.items()):
            if expires <= now:
                del self._open[call]
                on_answer(None)


class _NodeStreamHandler:
    """The node's end of the stream: a hello first, perhaps with more in the same message, then all other messages."""

    def __init__(
        self,
        on_hello: Callable[[node_pb2.NodeHello], None],
        on_message: Callable[[node_pb2.NodeMessage], None],
        on_writable: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()  # also done when the stream ended before its hello
        self.ended: asyncio.Future[StreamEnded] = loop.create_future()
        self._greeted = False
        self._on_hello = on_hello
        self._on_message = on_message
        self.on_writable = on_writable

    def on_message(self, message: bytes) -> None:
        try:
            decoded = node_pb2.NodeMessage.FromString(message)
        except DecodeError:
            raise StreamEnded(INTERNAL, "a message that is no NodeMessage") from None
        if not self._greeted:
            if not decoded.HasField("hello"):
                raise StreamEnded(INTERNAL, "the first message must be hello")
            self._greeted = True
            self._on_hello(decoded.hello)
            self._set_opened()
        self._on_message(decoded)

    def on_half_close(self) -> None:
        """A server ends a stream with a status."""

    def on_end(self, how: StreamEnded) -> None:
        self._set_opened()
        if not self.ended.done():
            self.ended.set_result(how)

    def _set_opened(self) -> None:
        if not self.opened.done():
            self.opened.set_result(None)


def _resolve(future: "asyncio.Future[node_pb2.NodeResponse | None]", answer: node_pb2.NodeResponse | None) -> None:
    if not future.done():  # the caller may have been cancelled
        future.set_result(answer)


def varint(number: int) -> bytes:
    """A number in protobuf's encoding (encoding guide, "Base 128 Varints")."""
    if number < 128:
        return bytes((number,))
    out = bytearray()
    while number > 127:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _reason(errors: BaseExceptionGroup[Exception]) -> str:
    error = errors.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
