"""The push load of one run: a push worker, as its parent controls it."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.load import histogram
from bench.cluster.load.pace import MAX_LATE_SHARE
from bench.cluster.load.worker_process import Json, WorkerProcess, worker_process

REPORT_TIMEOUT = 30.0  # seconds for the last reports
PROGRESS_INTERVAL = 2.0  # seconds


class PushGenerator:
    """Pushes one series at a time. `counts`: the worker's latest counts."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self.counts: Json = {}

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._worker.pid

    def start(
        self,
        *,
        target: str,
        names: str | list[str],
        count: int,
        rate: float,
        seconds: float,
        kind: int = 0,
        size: int = 200,
        ack_ms: int = 0,
        trace: str = "",
        outstanding: int = 0,
    ) -> None:
        """Start a series to `count` targets in turn. `names`: a pattern with %d, or a list; session ids for sessions.

        The other settings are those of bench.cluster.load.push_worker.
        """
        self.counts = self._worker.request(
            "run",
            target=target,
            names=names,
            count=count,
            rate=rate,
            seconds=seconds,
            kind=kind,
            size=size,
            ack_ms=ack_ms,
            trace=trace,
            outstanding=outstanding,
        )

    def read_counts(self) -> Json:
        """The current counts."""
        self.counts = self._worker.request("counts")
        return self.counts

    def wait(self, seconds: float, on_progress: Callable[[Json], None] | None = None) -> Json:
        """Wait until every push is sent and reported, at most REPORT_TIMEOUT longer than `seconds`, the series' length.

        Returns the counts.
        """
        deadline, next_progress = time.monotonic() + seconds + REPORT_TIMEOUT, time.monotonic() + PROGRESS_INTERVAL
        while not self.finished(self.read_counts()) and (now := time.monotonic()) < deadline:
            if on_progress is not None and now > next_progress:
                on_progress(self.counts)
                next_progress = now + PROGRESS_INTERVAL
            time.sleep(0.05)
        return self.counts

    def finished(self, counts: Json) -> bool:
        """Whether every push is sent and reported, or the stream has ended."""
        return bool(not counts["sending"] and (counts["reported"] >= counts["sent"] or counts["stream_end"]))

    def outcome_codes(self) -> bytes:
        """A byte per push: bench.cluster.load.outcomes."""
        with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
            path = Path(folder) / "codes"
            self._worker.request("dump", path=str(path))
            return path.read_bytes()


def kept_pace(counts: Json) -> bool:
    """Whether the generator was fast enough: every push sent, few of them late, and the stream never ended."""
    in_time = counts["late"] <= counts["total"] * MAX_LATE_SHARE
    return not counts["stream_end"] and counts["sent"] >= counts["total"] and in_time


def report_latencies(counts: Json) -> dict[str, Any]:
    """p50 and p99 from due to report."""
    return {f"report_{name}": value for name, value in histogram.quantiles(counts["latencies"]).items()}


@contextlib.contextmanager
def push_generator(cluster: BenchCluster, name: str = "pusher") -> Iterator[PushGenerator]:
    """A push load on this cluster's first router; the CPU of its worker is measured as `name`."""
    with worker_process("bench.cluster.load.push_worker", router=cluster.grpc) as worker:
        cluster.add_processes(name, [worker.pid])
        yield PushGenerator(worker)
