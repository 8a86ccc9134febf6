"""Shell: the hop over one gRPC bidi stream (`streams`).

What is handed over gathers in one message while the previous one is being written, so a batch costs no timer and an
idle hop adds no latency. A stream that breaks answers everything that was open with None, at once; so does one that has
been silent for three pings in a row. Pings that the router itself was too busy to send are no evidence, so silence is
counted in pings, not in seconds.
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
from router.hop.port import Answered, OnChange, OnHandled, Outgoing, ignore_handled
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import dial
from runtime.grpc_wire.status import INTERNAL, StreamEnded
from runtime.grpc_wire.write_batcher import WriteBatcher

log = logging.getLogger(__name__)

PATH = "/homing.internal.v1.Node/Stream"
ANSWERED_WITHIN = 1.0  # seconds for a dial, hello there and back


REDIAL = 0.02  # seconds between the first dials of a node that has just appeared
PUSH_LIMIT = 5.0  # seconds beyond its ack_timeout; an owner's report is due 1 s after its last write
REQUEST_LIMIT = 10.0  # seconds; a join waits for the registry's commit and the routers' tables
PUSHES = b"\x12"  # how RouterMessage.pushes begins on the wire (field 2, length-delimited)

OpenCall = tuple[Callable[[Any], None], float]
"""Who hears the answer (None: there is none), and when it is given up."""


class HopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.hop]`: bounds of one stream."""

    queue: int = 8192  # calls handed over and not yet answered
    queue_bytes: int = 16 * 1024 * 1024  # payload gathered and not yet written
    ping: float = 0.33  # seconds between pings while nothing is heard; three without an answer mean silent
    back_off: float = 1.0  # seconds at most between two dials


class StreamHop:
    """One (router, incarnation) stream. `on_change` hears when `reachable` or `unregistered` changes."""

    def __init__(
        self,
        router: str,
        incarnation: Incarnation,
        address: str,
        settings: HopSettings,
        batch: Callable[[], int],
        fencing: Callable[[Incarnation], Awaitable["node_pb2.Fencing.State"]],
        on_change: OnChange,
    ) -> None:
        self.incarnation = incarnation
        self.on_handled: OnHandled = ignore_handled
        self.unregistered = False
        self.stats: node_pb2.Stats | None = None
        self._wants_stats = False
        self._router = router
        self._address = address
        self._settings = settings
        self._batch = batch
        self._fencing = fencing
        self._on_change = on_change
        self._opened = asyncio.Event()
        self._connected = False
        self._dialling = True  # not connected yet, and still young: calls gather for the first answer
        self._young_until = 0.0  # a node that has just begun its incarnation may refuse the first dials
        self._missed = 0  # pings in a row without any answer
        self._pings = 0
        self._calls = 0
        self._open: dict[int, OpenCall] = {}
        self._epoch = b"\x10" + varint(incarnation.epoch)  # Push.epoch on the wire
        self._pushes: list[bytes] = []  # gathered, beside `_out`
        self._out = node_pb2.RouterMessage()
        self._out_bytes = 0
        self._batcher = WriteBatcher(self._write)
        self._fencing_queries: asyncio.Queue[int] = asyncio.Queue(16)  # a node asks one at a time
        self._loop = asyncio.get_running_loop()

    # The port -------------------------------------------------------------------------------------------------------

    @property
    def reachable(self) -> bool:
        return self._dialling or (self._connected and self._missed < 3)

    def room(self, size: int) -> bool:
        settings = self._settings
        return len(self._open) < settings.queue and self._out_bytes + size <= settings.queue_bytes

    def push(self, push: Outgoing, answered: Answered) -> None:
        if not self.reachable:
            answered(None)
            return
        self._calls += 1
        self._open[self._calls] = answered, self._loop.time() + PUSH_LIMIT + push.ack_timeout
        mine = b"\x08" + varint(self._calls) + self._epoch
        self._pushes += (PUSHES, varint(len(push.raw) + len(mine)), push.raw, mine)
        self._out_bytes += push.size
        self._batcher.request_write()

    def request(self, request: node_pb2.NodeRequest) -> "asyncio.Future[node_pb2.NodeResponse | None]":
        future: asyncio.Future[node_pb2.NodeResponse | None] = self._loop.create_future()
        if not self.reachable:
            future.set_result(None)
            return future
        self._calls += 1
        self._open[self._calls] = partial(_resolve, future), self._loop.time() + REQUEST_LIMIT
        request.call = self._calls
        self._out.requests.append(request)
        self._batcher.request_write()
        return future

    def send_stats(self, want: bool) -> None:
        self._wants_stats = self._out.send_stats = want
        self.stats = self.stats if want else None
        self._batcher.request_write()

    def table_holds(self, batch: int) -> None:
        self._out.table_batch = batch
        self._batcher.request_write()

    async def wait_opened(self) -> None:
        await self._opened.wait()

    # The stream -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        pause = 0.05
        self._young_until = self._loop.time() + ANSWERED_WITHIN
        try:
            while True:
                began = self._loop.time()
                try:
                    await self._hold_stream()
                except* (StreamEnded, OSError, TimeoutError) as errors:
                    log.info("the stream to %s at %s is down: %s", self.incarnation, self._address, _reason(errors))
                if self._dialling and self._loop.time() < self._young_until:
                    await asyncio.sleep(REDIAL)
                    continue
                self._went_down()
                pause = 0.05 if self._loop.time() - began > 5 else min(self._settings.back_off, pause * 2)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
        finally:
            self._went_down()

    async def _hold_stream(self) -> None:
        handler = _NodeStreamHandler(self._came_up, self._on_message, self._batcher.resume)
        call: Call | None = None
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                call = await dial(self._address, PATH, handler)
                call.send(self._hello().SerializeToString())
                await handler.opened
            self._batcher.attach(call)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ping())
                group.create_task(self._answer_fencing())
                raise await handler.over
        finally:
            self._batcher.attach(None)
            if call is not None:
                call.cancel()

    def _came_up(self) -> None:
        self._connected, self._dialling, self._missed = True, False, 0
        self.table_holds(self._batch())
        self._out.send_stats = self._wants_stats
        self._opened.set()
        self._on_change(self)

    def _hello(self) -> node_pb2.RouterMessage:
        incarnation = self.incarnation
        hello = node_pb2.RouterHello(router=self._router, node=incarnation.node, epoch=incarnation.epoch)
        return node_pb2.RouterMessage(hello=hello, table_batch=self._batch(), sent_ns=time.monotonic_ns())

    def _write(self, call: Call) -> None:
        out, self._out, self._out_bytes = self._out, node_pb2.RouterMessage(), 0
        pushes, self._pushes = self._pushes, []
        out.sent_ns = time.monotonic_ns()
        # Fields of one message may come in any order and in pieces, so pushes need not be built again to be sent.
        call.send(out.SerializeToString() + b"".join(pushes))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping)
            self._missed += 1
            if self._missed == 3:
                log.warning("%s at %s is silent", self.incarnation, self._address)
                self._fail_open()
                self._on_change(self)
            self._give_up_late_ones()
            self._pings += 1
            self._out.ping = self._pings
            self._batcher.request_write()

    def _give_up_late_ones(self) -> None:
        """A node that speaks and yet owes an answer for too long has failed at that call."""
        now = self._loop.time()
        for call, (answered, due) in list(self._open.items()):
            if due <= now:
                del self._open[call]
                answered(None)

    async def _answer_fencing(self) -> None:
        while True:
            query = await self._fencing_queries.get()
            state = await self._fencing(self.incarnation)  # before `_out` is read: a message may leave meanwhile
            self._out.fencing.add(query=query, state=state)
            self._batcher.request_write()

    def _on_message(self, message: node_pb2.NodeMessage) -> None:
        was_silent, self._missed = self._missed >= 3, 0
        for answer in message.pushes:
            if (waiting := self._open.pop(answer.call, None)) is not None:
                waiting[0](answer)
        for response in message.responses:
            if (waiting := self._open.pop(response.call, None)) is not None:
                waiting[0](response)
        changed = message.HasField("unregistered") and message.unregistered.any != self.unregistered
        if changed:
            self.unregistered = message.unregistered.any
        if message.HasField("stats"):
            self.stats, changed = message.stats, True
        if changed or was_silent:
            self._on_change(self)
        if message.HasField("handled"):
            self.on_handled(self.incarnation, message.handled)
        for query in message.fencing_queries:
            self._fencing_queries.put_nowait(query.query)

    def _went_down(self) -> None:
        was_known = self._connected or self._dialling
        # `unregistered` stays: what such a node holds is not elsewhere, it only does not answer.
        self._connected = self._dialling = False
        self._fail_open()
        self._out, self._pushes, self._out_bytes = node_pb2.RouterMessage(), [], 0
        self._opened.set()
        if was_known:
            self._on_change(self)

    def _fail_open(self) -> None:
        open_calls, self._open = self._open, {}
        for answered, _ in open_calls.values():
            answered(None)


class _NodeStreamHandler:
    """Hears the node: hello first, then everything else. A message may hold more beside hello."""

    def __init__(
        self,
        came_up: Callable[[], None],
        on_message: Callable[[node_pb2.NodeMessage], None],
        writable: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()  # done also when the stream ended before
        self.over: asyncio.Future[StreamEnded] = loop.create_future()
        self._said_hello = False
        self._came_up = came_up
        self._on_message = on_message
        self.on_writable = writable

    def on_message(self, message: bytes) -> None:
        try:
            heard = node_pb2.NodeMessage.FromString(message)
        except DecodeError:
            raise StreamEnded(INTERNAL, "a message that is no NodeMessage") from None
        if not self._said_hello:
            if not heard.HasField("hello"):
                raise StreamEnded(INTERNAL, "the first message must be hello")
            self._said_hello = True
            self._came_up()
            self._done(self.opened)
        self._on_message(heard)

    def on_half_close(self) -> None:
        """A server's stream ends with a status."""

    def on_end(self, how: StreamEnded) -> None:
        self._done(self.opened)
        if not self.over.done():
            self.over.set_result(how)

    def _done(self, future: "asyncio.Future[None]") -> None:
        if not future.done():
            future.set_result(None)


def _resolve(future: "asyncio.Future[node_pb2.NodeResponse | None]", answer: node_pb2.NodeResponse | None) -> None:
    if not future.done():  # its caller may have stopped waiting
        future.set_result(answer)


def varint(number: int) -> bytes:
    """A number as protobuf writes it (encoding guide, "Base 128 Varints")."""
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
