"""Shell: the hop over one gRPC bidi stream (grpc.aio).

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
from typing import TypeAlias

import grpc
import grpc.aio
import msgspec

from homing.internal.v1 import node_pb2, node_pb2_grpc
from registry.model import Life
from router.hop.port import OnChange

log = logging.getLogger(__name__)

Answer = node_pb2.PushAnswer | node_pb2.AskAnswer
Stream: TypeAlias = "grpc.aio.StreamStreamCall[node_pb2.RouterMessage, node_pb2.NodeMessage]"
MAX_MESSAGE = 64 * 1024 * 1024  # bytes; a queue of pushes may become one message
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class HopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.hop]`: bounds of one stream."""

    queue: int = 8192  # calls handed over and not yet answered
    queue_bytes: int = 16 * 1024 * 1024  # payload gathered and not yet written
    ping: float = 0.33  # seconds between pings while nothing is heard; three without an answer mean silent
    back_off: float = 1.0  # seconds at most between two dials


class StreamHop:
    """One (router, life) stream. `on_change` hears when `reachable` or `unregistered` changes."""

    def __init__(
        self,
        router: str,
        life: Life,
        address: str,
        settings: HopSettings,
        batch: Callable[[], int],
        fencing: Callable[[Life], Awaitable["node_pb2.Fencing.State"]],
        on_change: OnChange,
    ) -> None:
        self.life = life
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
        self._dialling = True  # the first dial is under way: calls gather for it
        self._missed = 0  # pings in a row without any answer
        self._pings = 0
        self._calls = 0
        self._open: dict[int, asyncio.Future[Answer | None]] = {}
        self._out = node_pb2.RouterMessage()
        self._out_bytes = 0
        self._some = asyncio.Event()
        self._asks: asyncio.Queue[int] = asyncio.Queue(16)  # a node asks one at a time
        self._loop = asyncio.get_running_loop()

    # The port -------------------------------------------------------------------------------------------------------

    @property
    def reachable(self) -> bool:
        return self._dialling or (self._connected and self._missed < 3)

    def room(self, size: int) -> bool:
        settings = self._settings
        return len(self._open) < settings.queue and self._out_bytes + size <= settings.queue_bytes

    def push(self, push: node_pb2.Push) -> "asyncio.Future[node_pb2.PushAnswer | None]":
        push.call, future = self._call()
        if not future.done():
            self._out.pushes.append(push)
            self._out_bytes += len(push.data)
            self._some.set()
        return future  # type: ignore[return-value]  # a push's call is answered with a PushAnswer

    def ask(self, ask: node_pb2.Ask) -> "asyncio.Future[node_pb2.AskAnswer | None]":
        ask.call, future = self._call()
        if not future.done():
            self._out.asks.append(ask)
            self._some.set()
        return future  # type: ignore[return-value]  # an ask's call is answered with an AskAnswer

    def want_stats(self, want: bool) -> None:
        self._wants_stats = self._out.want_stats = want
        self.stats = self.stats if want else None
        self._some.set()

    def table_holds(self, batch: int) -> None:
        self._out.table_batch = batch
        self._some.set()

    async def wait_opened(self) -> None:
        await self._opened.wait()

    def _call(self) -> "tuple[int, asyncio.Future[Answer | None]]":
        future: asyncio.Future[Answer | None] = self._loop.create_future()
        self._calls += 1
        if self.reachable:
            self._open[self._calls] = future
        else:
            future.set_result(None)
        return self._calls, future

    # The stream -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        pause = 0.05
        try:
            while True:
                began = self._loop.time()
                try:
                    await self._hold_stream()
                except* (grpc.aio.AioRpcError, OSError, TimeoutError) as errors:
                    log.info("the stream to %s at %s is down: %s", self.life, self._address, _reason(errors))
                self._went_down()
                pause = 0.05 if self._loop.time() - began > 5 else min(self._settings.back_off, pause * 2)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
        finally:
            self._went_down()

    async def _hold_stream(self) -> None:
        async with grpc.aio.insecure_channel(self._address, options=OPTIONS) as channel:
            stub = node_pb2_grpc.NodeStub(channel)  # type: ignore[no-untyped-call]
            stream = stub.Stream()
            try:
                async with asyncio.timeout(1.0):
                    await stream.write(self._hello())
                    first = await stream.read()
                if first is grpc.aio.EOF or not first.HasField("hello"):
                    raise OSError("the node closed the stream at once")
                await self._converse(stream)
            finally:
                stream.cancel()

    async def _converse(self, stream: Stream) -> None:
        self._connected, self._dialling, self._missed = True, False, 0
        self.table_holds(self._batch())
        self._out.want_stats = self._wants_stats
        self._opened.set()
        self._on_change(self)
        async with asyncio.TaskGroup() as group:
            works = (self._write(stream), self._ping(), self._answer_fencing())
            beside = [group.create_task(work) for work in works]
            while isinstance(message := await stream.read(), node_pb2.NodeMessage):  # else EOF
                self._hear(message)
            for task in beside:
                task.cancel()

    def _hello(self) -> node_pb2.RouterMessage:
        life = self.life
        hello = node_pb2.RouterHello(router=self._router, node=life.node, epoch=life.epoch)
        return node_pb2.RouterMessage(hello=hello, table_batch=self._batch(), sent_ns=time.monotonic_ns())

    async def _write(self, stream: Stream) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            out, self._out, self._out_bytes = self._out, node_pb2.RouterMessage(), 0
            out.sent_ns = time.monotonic_ns()
            await stream.write(out)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping)
            self._missed += 1
            if self._missed == 3:
                log.warning("%s at %s is silent", self.life, self._address)
                self._fail_open()
                self._on_change(self)
            self._pings += 1
            self._out.ping = self._pings
            self._some.set()

    async def _answer_fencing(self) -> None:
        while True:
            ask = await self._asks.get()
            state = await self._fencing(self.life)  # before `_out` is read: a message may leave meanwhile
            self._out.fencing.add(ask=ask, state=state)
            self._some.set()

    def _hear(self, message: node_pb2.NodeMessage) -> None:
        was_silent, self._missed = self._missed >= 3, 0
        answers: list[Answer] = [*message.pushes, *message.asks]
        for answer in answers:
            future = self._open.pop(answer.call, None)
            if future is not None and not future.done():
                future.set_result(answer)
        changed = message.HasField("unregistered") and message.unregistered.any != self.unregistered
        if changed:
            self.unregistered = message.unregistered.any
        if message.HasField("stats"):
            self.stats, changed = message.stats, True
        if changed or was_silent:
            self._on_change(self)
        for ask in message.fencing_asks:
            self._asks.put_nowait(ask.ask)

    def _went_down(self) -> None:
        was_known = self._connected or self._dialling
        self._connected = self._dialling = self.unregistered = False
        self._fail_open()
        self._out, self._out_bytes = node_pb2.RouterMessage(), 0
        self._opened.set()
        if was_known:
            self._on_change(self)

    def _fail_open(self) -> None:
        open_calls, self._open = self._open, {}
        for future in open_calls.values():
            if not future.done():
                future.set_result(None)


def _reason(errors: BaseExceptionGroup[Exception]) -> str:
    error = errors.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name.lower()}: {error.details()}"
    return str(error) or type(error).__name__
