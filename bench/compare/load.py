"""The load of one step: clients spread over the gateways, then pushes at a fixed rate, one target after the other.

Open loop: a push leaves when it is due, whatever became of those before, and its latency counts from that moment.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc.aio

from bench.cluster.load.clients import Client, close, connect, handshake
from bench.cluster.load.pace import Pace
from bench.compare.growing import Growing
from bench.compare.rows import Row
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

USERS = 40  # each has one session
FILE = "compared"
PAYLOAD = 200  # bytes
SETTLE = 0.3  # seconds, for what connecting has set going
IDLE = 1.0  # seconds of doing nothing, to know what that costs
WARM_UP = 20  # pushes before the measured ones
ALL_WITHIN = 15.0  # seconds for the last message and the last report

find_numbers = re.compile(rb'"n":(\d+)').findall


class Load(NamedTuple):
    """How much of it. `rate`: pushes a second to single users; a file gets half as many."""

    rate: float
    seconds: float
    viewers: int  # of the file


class Target(NamedTuple):
    """Who is pushed to."""

    name: str
    rate: float
    receivers: int  # of each push
    of: Callable[[int], pb.Target]


def targets(load: Load) -> list[Target]:
    """Unicast and file."""
    return [
        Target("unicast", load.rate, 1, lambda n: pb.Target(user=f"user-{n % USERS}")),
        Target("file", load.rate / 2, load.viewers, lambda _n: pb.Target(file=FILE)),
    ]


async def step(growing: Growing, mode: str, bus: str, load: Load, done: Callable[[Row], None]) -> None:
    """Measure the cluster as large as it is now."""
    clients = await connect(USERS, _spread(growing, load.viewers))
    try:
        await asyncio.sleep(SETTLE)
        before, began = growing.used(), time.monotonic()
        await asyncio.sleep(IDLE)
        idle = _rates(before, growing.used(), time.monotonic() - began)
        for target in targets(load):
            run = Run(growing, target, load.seconds, clients)
            await run.run()
            done(run.row(mode, bus, idle))
    finally:
        close(clients)
        await asyncio.sleep(SETTLE)


def _spread(growing: Growing, viewers: int) -> Callable[[int], tuple[str, int, bytes]]:
    """Where the n-th client goes, and what it says first. The first few view the file."""
    urls = growing.cluster.urls

    def where(index: int) -> tuple[str, int, bytes]:
        url = urls[index % len(urls)]
        files = (FILE,) if index < viewers else ()
        parts = urlsplit(url)
        head = handshake(url, growing.cluster.token(f"user-{index}", *files), *files)
        return parts.hostname or "", parts.port or 0, head

    return where


class Run:
    """One target's pushes, and what came of them."""

    def __init__(self, growing: Growing, target: Target, seconds: float, clients: list[Client]) -> None:
        self._growing = growing
        self._target = target
        self._clients = clients
        self._pace = Pace(target.rate, seconds)
        self._latencies: list[float] = []
        self._all_there = asyncio.Event()
        self._reports: list[pb.PushReport] = []
        self._used: dict[str, float] = {}
        self._took = 0.0
        self._counted: dict[str, int] = {}  # by the gateways
        self._bus_bytes = 0

    @property
    def expected(self) -> int:
        """Messages that clients should get."""
        return self._pace.number * self._target.receivers

    async def run(self) -> None:
        """Warm up, then push; until everything has arrived, or never will."""
        async with grpc.aio.insecure_channel(self._growing.cluster.grpc) as channel:
            stub = router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]
            stream = stub.PushStream()
            for n in range(WARM_UP):
                await stream.write(pb.PushStreamRequest(pushes=[self._request(n)]))
            await _read_reports(stream, WARM_UP)
            for client in self._clients:
                client.on_data = self._look
            await self._measured(stream)
            stream.cancel()

    async def _measured(self, stream: Any) -> None:  # noqa: ANN401  grpc has no type for it
        growing = self._growing
        gateways, router = growing.counted(), growing.router_counted()
        used, began = growing.used(), time.monotonic()
        await self._push_all(stream)
        self._took = time.monotonic() - began
        self._used = _less(growing.used(), used)
        self._counted = _less(growing.counted(), gateways)
        published = growing.router_counted()["bus_bytes"] - router["bus_bytes"]
        self._bus_bytes = published + self._counted["bus_bytes"]

    async def _push_all(self, stream: Any) -> None:  # noqa: ANN401
        gathered: asyncio.Queue[list[int]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(stream, gathered))
            reading = group.create_task(_read_reports(stream, self._pace.number))
            await self._pace.run(gathered.put_nowait)
            with contextlib.suppress(TimeoutError):  # what is missing then makes the row invalid
                async with asyncio.timeout(ALL_WITHIN):
                    self._reports = await reading
                    await self._all_there.wait()
            writing.cancel()
            reading.cancel()

    async def _write(self, stream: Any, gathered: "asyncio.Queue[list[int]]") -> None:  # noqa: ANN401
        while True:
            due = await gathered.get()
            await stream.write(pb.PushStreamRequest(pushes=map(self._request, due)))

    def _request(self, n: int) -> pb.PushRequest:
        body = b'{"n":%d,"pad":"' % n
        data = body + b"x" * (PAYLOAD - len(body) - 2) + b'"}'
        return pb.PushRequest(target=self._target.of(n), event="e", data=data, push_id=f"c{n}", max_deliveries=0)

    def _look(self, raw: bytes) -> None:
        now = time.monotonic()
        self._latencies.extend(now - self._pace.due(int(n)) for n in find_numbers(raw))
        if len(self._latencies) >= self.expected:
            self._all_there.set()

    def row(self, mode: str, bus: str, idle: dict[str, float]) -> Row:
        """What was measured. `idle`: CPU a second, by kind of process, while nothing was pushed."""
        pushes, delivered = self._pace.number, len(self._latencies)
        net = {kind: max(0.0, used - idle.get(kind, 0.0) * self._took) for kind, used in self._used.items()}
        us = {kind: round(used / max(1, delivered) * 1e6, 1) for kind, used in net.items()}
        router, gateway = us.pop("routers"), us.pop("gateways")
        handled = self._counted["pushes_received"]
        owners = sum(report.owning_nodes for report in self._reports)
        why = self._why_not()
        return Row(
            mode=mode,
            bus=bus,
            gateways=self._growing.gateways,
            target=self._target.name,
            pushes=pushes,
            expected=self.expected,
            delivered=delivered,
            handled_per_push=round(handled / pushes, 3),
            amplification=round(handled / max(1, owners), 3),
            cpu_us_per_delivery=round(router + gateway, 1),
            router_us=router,
            gateway_us=gateway,
            server_us=us,
            idle_ms_per_s=round((idle["routers"] + idle["gateways"]) * 1000, 2),
            p50_ms=_quantile(self._latencies, 0.5),
            p99_ms=_quantile(self._latencies, 0.99),
            bus_bytes_per_push=round(self._bus_bytes / pushes, 1),
            late=self._pace.late,
            valid=not why,
            why=why,
        )

    def _why_not(self) -> str:
        if len(self._latencies) != self.expected:
            return f"{len(self._latencies)} of {self.expected} messages arrived"
        if len(self._reports) != self._pace.number:
            return f"{len(self._reports)} of {self._pace.number} reports came"
        bad = sorted({outcome for report in self._reports for outcome in report.counts if outcome != "WRITTEN"})
        if bad:
            return f"outcomes {', '.join(bad)}"
        return "" if self._pace.valid else f"the generator sent {self._pace.late} pushes too late"


async def _read_reports(stream: Any, number: int) -> list[pb.PushReport]:  # noqa: ANN401
    reports: list[pb.PushReport] = []
    while len(reports) < number:
        message = await stream.read()
        if message is grpc.aio.EOF:
            break
        reports.extend(message.reports)
    return reports


def _rates(before: dict[str, float], after: dict[str, float], seconds: float) -> dict[str, float]:
    return {kind: (after[kind] - before[kind]) / seconds for kind in after}


def _less(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    return {name: value - before.get(name, 0) for name, value in after.items()}


def _quantile(latencies: list[float], share: float) -> float:
    """In ms; 0 when there are none, and then the row is invalid."""
    ordered = sorted(latencies)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3) if ordered else 0.0
