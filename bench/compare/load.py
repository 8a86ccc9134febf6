"""The load at one number of gateways: clients on all gateways, then pushes at a fixed rate, one target after another.

Open loop: a push is sent when it is due, whatever became of earlier pushes, and its latency counts from that time.
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc.aio

from bench.cluster.load.clients import Endpoint, LoadClient, close, connect, handshake_request
from bench.cluster.load.pace import Pace
from bench.compare.growing_cluster import GrowingCluster
from bench.compare.rows import Row
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

USERS = 40  # with one session each
FILE = "compared"
PAYLOAD_BYTES = 200
SETTLE_TIME = 0.3  # seconds, for the work that connects cause
IDLE_TIME = 1.0  # seconds without load, to measure the CPU of an idle cluster
WARM_UP_PUSHES = 20
DELIVERY_TIMEOUT = 15.0  # seconds for the last message and the last report

find_numbers = re.compile(rb'"n":(\d+)').findall


class CompareLoad(NamedTuple):
    """The load of a row. `rate`: pushes a second to single users; a file gets half as many."""

    rate: float
    seconds: float
    viewers: int  # of the file


class LoadTarget(NamedTuple):
    """The target of a row's pushes."""

    name: str
    rate: float
    receivers: int  # of each push
    of: Callable[[int], pb.Target]  # the target of the n-th push


def targets(load: CompareLoad) -> list[LoadTarget]:
    """Unicast and file."""
    return [
        LoadTarget("unicast", load.rate, 1, lambda n: pb.Target(user=f"user-{n % USERS}")),
        LoadTarget("file", load.rate / 2, load.viewers, lambda _n: pb.Target(file=FILE)),
    ]


async def measure(
    growing: GrowingCluster, mode: str, bus: str, load: CompareLoad, on_row: Callable[[Row], None]
) -> None:
    """Measure a row per target with the current number of gateways."""
    clients = await connect(USERS, _endpoints(growing, load.viewers))
    try:
        await asyncio.sleep(SETTLE_TIME)
        before, started_at = growing.cpu_seconds(), time.monotonic()
        await asyncio.sleep(IDLE_TIME)
        idle = _rates(before, growing.cpu_seconds(), time.monotonic() - started_at)
        for target in targets(load):
            run = TargetRun(growing, target, load.seconds, clients)
            await run.run()
            on_row(run.row(mode, bus, idle))
    finally:
        close(clients)
        await asyncio.sleep(SETTLE_TIME)


def _endpoints(growing: GrowingCluster, viewers: int) -> Endpoint:
    """The gateways in turn. The first `viewers` clients view the file."""
    urls = growing.cluster.urls

    def endpoint(index: int) -> tuple[str, int, bytes]:
        url = urls[index % len(urls)]
        files = (FILE,) if index < viewers else ()
        parts = urlsplit(url)
        request = handshake_request(url, growing.cluster.token(f"user-{index}", *files), *files)
        return parts.hostname or "", parts.port or 0, request

    return endpoint


class TargetRun:
    """The pushes to one target, and their figures."""

    def __init__(self, growing: GrowingCluster, target: LoadTarget, seconds: float, clients: list[LoadClient]) -> None:
        self._growing = growing
        self._target = target
        self._clients = clients
        self._pace = Pace(target.rate, seconds)
        self._series = secrets.token_hex(4)  # of this run's push_ids: one that comes back would be a duplicate
        self._warm_up = f"{self._series}-warm"
        self._latencies: list[float] = []
        self._all_received = asyncio.Event()
        self._reports: list[pb.PushReport] = []
        self._cpu: dict[str, float] = {}  # seconds by kind of process
        self._seconds = 0.0
        self._gateway_counters: dict[str, int] = {}
        self._bus_bytes = 0

    @property
    def expected(self) -> int:
        """Messages that the clients should receive."""
        return self._pace.total * self._target.receivers

    async def run(self) -> None:
        """Warm up, then push; ends when every message and report has arrived, or after DELIVERY_TIMEOUT."""
        async with grpc.aio.insecure_channel(self._growing.cluster.grpc) as channel:
            stub = router_pb2_grpc.RouterStub(channel)  # type: ignore[no-untyped-call]
            stream = stub.PushStream()
            for n in range(WARM_UP_PUSHES):
                await stream.write(pb.PushStreamRequest(pushes=[self._request(n, self._warm_up)]))
            await _read_reports(stream, WARM_UP_PUSHES)
            for client in self._clients:
                client.on_data = self._on_data
            await self._measure(stream)
            stream.cancel()

    async def _measure(self, stream: Any) -> None:  # noqa: ANN401  grpc has no type for it
        growing = self._growing
        gateways, router = growing.gateway_counters(), growing.router_counters()
        cpu, started_at = growing.cpu_seconds(), time.monotonic()
        await self._push_all(stream)
        self._seconds = time.monotonic() - started_at
        self._cpu = _difference(growing.cpu_seconds(), cpu)
        self._gateway_counters = _difference(growing.gateway_counters(), gateways)
        published = growing.router_counters()["bus_bytes"] - router["bus_bytes"]
        self._bus_bytes = published + self._gateway_counters["bus_bytes"]

    async def _push_all(self, stream: Any) -> None:  # noqa: ANN401
        due: asyncio.Queue[list[int]] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write(stream, due))
            reader = group.create_task(_read_reports(stream, self._pace.total))
            await self._pace.run(due.put_nowait)
            with contextlib.suppress(TimeoutError):  # a missing message or report makes the row invalid
                async with asyncio.timeout(DELIVERY_TIMEOUT):
                    self._reports = await reader
                    await self._all_received.wait()
            writer.cancel()
            reader.cancel()

    async def _write(self, stream: Any, due: "asyncio.Queue[list[int]]") -> None:  # noqa: ANN401
        while True:
            numbers = await due.get()
            await stream.write(pb.PushStreamRequest(pushes=[self._request(n, self._series) for n in numbers]))

    def _request(self, n: int, series: str) -> pb.PushRequest:
        body = b'{"n":%d,"pad":"' % n
        data = body + b"x" * (PAYLOAD_BYTES - len(body) - 2) + b'"}'
        return pb.PushRequest(
            target=self._target.of(n), event="e", data=data, push_id=f"{series}-{n}", max_deliveries=0
        )

    def _on_data(self, raw: bytes) -> None:
        now = time.monotonic()
        self._latencies.extend(now - self._pace.due_at(int(n)) for n in find_numbers(raw))
        if len(self._latencies) >= self.expected:
            self._all_received.set()

    def row(self, mode: str, bus: str, idle: dict[str, float]) -> Row:
        """The figures. `idle`: seconds of CPU per second, by kind of process, without load."""
        pushes, delivered = self._pace.total, len(self._latencies)
        net = {kind: max(0.0, used - idle.get(kind, 0.0) * self._seconds) for kind, used in self._cpu.items()}
        us = {kind: round(used / max(1, delivered) * 1e6, 1) for kind, used in net.items()}
        router, gateway = us.pop("routers"), us.pop("gateways")
        handled = self._gateway_counters["pushes_received"]
        owners = sum(report.owning_nodes for report in self._reports)
        reason = self._invalid_reason()
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
            valid=not reason,
            reason=reason,
        )

    def _invalid_reason(self) -> str:
        if len(self._latencies) != self.expected:
            return f"{len(self._latencies)} of {self.expected} messages arrived"
        if len(self._reports) != self._pace.total:
            return f"{len(self._reports)} of {self._pace.total} reports arrived"
        failures = sorted({outcome for report in self._reports for outcome in report.counts if outcome != "WRITTEN"})
        if failures:
            return f"outcomes {', '.join(failures)}"
        return "" if self._pace.valid else f"the load generator sent {self._pace.late} pushes late"


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


def _difference(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    return {name: value - before.get(name, 0) for name, value in after.items()}


def _quantile(latencies: list[float], share: float) -> float:
    """In ms; 0 without latencies (the row is then invalid)."""
    ordered = sorted(latencies)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3) if ordered else 0.0
