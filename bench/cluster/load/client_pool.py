"""All WebSocket clients of one run: client workers with at most 18,000 clients each, as their parent controls them."""

import contextlib
import math
import os
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.cluster.bench_cluster import BenchCluster
from bench.cluster.limits import max_clients_per_process
from bench.cluster.load import histogram
from bench.cluster.load.tally import KINDS
from bench.cluster.load.worker_process import Json, WorkerProcess
from homing.cluster.errors import CommandError

CLIENTS_PER_WORKER = 18_000  # below the usual limit of 20,000 files
SOURCES = 16  # addresses per worker: one has 28,000 ports to one destination, and used ports stay in TIME_WAIT
POLL_INTERVAL = 0.1  # seconds between two readings of the counts
PROGRESS_INTERVAL = 2.0  # seconds


class ClientCounts:
    """The sum of all workers' counts."""

    def __init__(self, workers: Sequence[Json]) -> None:
        self.live, self.waiting = _sum(workers, "live"), _sum(workers, "waiting")
        self.connected, self.lost = _sum(workers, "connected"), _sum(workers, "lost")
        self.pushes, self.acks = _sum(workers, "pushes"), _sum(workers, "acks")
        self.pings, self.unexpected = _sum(workers, "pings"), _sum(workers, "unexpected")
        self.resumed = _sum(workers, "resumed")
        self.refused = _merge(workers, "refused")
        self.closes = _merge(workers, "closes")
        self.connects = histogram.empty()
        self.latencies = [histogram.empty() for _ in range(KINDS)]
        for worker in workers:
            histogram.add(self.connects, worker["connects"])
            for kind in range(KINDS):
                histogram.add(self.latencies[kind], worker["latencies"][kind])


OnProgress = Callable[[ClientCounts], None]


class ClientPool:
    """The clients of several workers. All rates are those of the whole pool."""

    def __init__(self, workers: Sequence[WorkerProcess]) -> None:
        self._workers = workers

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self._workers]

    def counts(self) -> ClientCounts:
        """The current counts."""
        return ClientCounts([worker.request("counts") for worker in self._workers])

    def open(self, count: int, rate: float, first: int = 0) -> None:
        """Start to connect the users `first` to `first + count`, `rate` a second. Does not wait."""
        for worker, start, number in self._shares(count):
            worker.request("open", first=first + start, count=number, rate=rate * number / count)

    def churn(self, rate: float, spare: int = 0, first: int = 0) -> None:
        """Disconnect and connect `rate` clients a second; the `spare` users from `first` on connect first."""
        for worker, start, number in self._shares(spare or len(self._workers)):
            share = rate / len(self._workers)
            worker.request("churn", rate=share, first=first + start, count=number if spare else 0)

    def drop(self, reconnect: bool, rate: float) -> None:
        """Close all sockets at once without close frames; with `reconnect` all clients reconnect, `rate` a second."""
        share = rate / len(self._workers)
        for worker in self._workers:  # all workers receive the command before the first one has answered
            worker.send({"command": "drop", "reconnect": reconnect, "rate": share})
        for worker in self._workers:
            worker.receive()

    def redirect(self, urls: Sequence[str], reconnect: bool, rate: float) -> None:
        """Set the URLs of later connects; with `reconnect` lost clients reconnect, `rate` a second."""
        for worker in self._workers:
            share = rate / len(self._workers)
            worker.request("configure", urls=addresses(urls), reconnect=reconnect, rate=share)

    def halt(self) -> None:
        """Stop connecting."""
        for worker in self._workers:
            worker.request("halt")

    def reset_latencies(self) -> None:
        """Empty the latency histograms."""
        for worker in self._workers:
            worker.request("reset_latencies")

    def received(self, kind: int) -> "array[int]":
        """By push number: how many clients have received the push."""
        total = array("I")
        with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
            for index, worker in enumerate(self._workers):
                path = Path(folder) / str(index)
                worker.request("dump", path=str(path))
                received = array("I")
                received.frombytes(Path(f"{path}.{kind}").read_bytes())
                total = _add(total, received)
        return total

    def wait(
        self, condition: Callable[[ClientCounts], bool], timeout: float, on_progress: OnProgress | None = None
    ) -> bool:
        """Whether the counts met the condition within `timeout` seconds. `on_progress` is called every 2 s."""
        deadline, next_progress = time.monotonic() + timeout, time.monotonic() + PROGRESS_INTERVAL
        while not condition(counts := self.counts()):
            now = time.monotonic()
            if now > deadline:
                return False
            if on_progress is not None and now > next_progress:
                on_progress(counts)
                next_progress = now + PROGRESS_INTERVAL
            time.sleep(POLL_INTERVAL)
        return True

    def open_all(
        self, count: int, rate: float, first: int = 0, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """Connect `count` more users and wait for all of them. CommandError: some did not connect in time."""
        before, started_at = self.counts().live, time.monotonic()
        self.open(count, rate, first)
        if not self.wait(lambda counts: counts.live >= before + count, count / rate * 3 + 60, on_progress):
            counts = self.counts()
            raise CommandError(
                f"only {counts.live - before} of {count} clients connected; refused: {dict(counts.refused) or 'none'}"
            )
        return {"connects_per_s": round(count / (time.monotonic() - started_at))}

    def _shares(self, count: int) -> Iterator[tuple[WorkerProcess, int, int]]:
        """(worker, start of its share, size of its share)."""
        number = len(self._workers)
        for index, worker in enumerate(self._workers):
            start, end = count * index // number, count * (index + 1) // number
            if end > start:
                yield worker, start, end - start


@contextlib.contextmanager
def client_pool(
    urls: Sequence[str],
    key: bytes,
    clients: int,
    protocol: str = "homing.json",
    files: Sequence[str] = (),
    file_members: int = 0,
    ca: str = "",
    resume: bool = False,
) -> Iterator[ClientPool]:
    """A pool with workers for `clients` clients. An empty key: the handshakes have no token. `file_members`: so many
    users join a file of their own. `ca`: the file of the gateways' certificate, for TLS; `resume`: with resumption."""
    number = max(1, math.ceil(clients / min(CLIENTS_PER_WORKER, max_clients_per_process())))
    with contextlib.ExitStack() as stack:
        workers: list[WorkerProcess] = []
        for index in range(number):
            settings = {
                "urls": addresses(urls),
                "key": key.hex(),
                "sources": sources(index),
                "protocol": protocol,
                "files": list(files),
                "file_members": file_members,
                "ca": ca,
                "resume": resume,
            }
            workers.append(WorkerProcess("bench.cluster.load.client_worker", **settings))
            stack.callback(workers[-1].close)
        yield ClientPool([worker.wait_started() for worker in workers])


@contextlib.contextmanager
def cluster_clients(
    cluster: BenchCluster,
    clients: int,
    protocol: str = "homing.json",
    file: str = "",
    name: str = "clients",
    resume: bool = False,
) -> Iterator[ClientPool]:
    """A pool of clients of this cluster; the CPU of its workers is measured as `name`."""
    files = [file] if file else []
    with client_pool(cluster.urls, cluster.key, clients, protocol, files, ca=cluster.ca, resume=resume) as pool:
        cluster.add_processes(name, pool.pids)
        yield pool


def sources(index: int) -> list[str]:
    """The loopback addresses from which the `index`-th worker connects."""
    if not os.path.exists("/proc/self"):  # only Linux has all of 127.0.0.0/8
        return ["127.0.0.1"]
    return [f"127.{1 + index % 200}.{index // 200}.{host}" for host in range(1, SOURCES + 1)]


def addresses(urls: Sequence[str]) -> list[list[Any]]:
    """[host, port] of each URL."""
    return [[urlsplit(url).hostname, urlsplit(url).port] for url in urls]


def _sum(workers: Sequence[Json], name: str) -> int:
    return sum(int(worker[name]) for worker in workers)


def _merge(workers: Sequence[Json], name: str) -> "Counter[str]":
    return sum((Counter(worker[name]) for worker in workers), Counter())


def _add(left: "array[int]", right: "array[int]") -> "array[int]":
    if len(left) < len(right):
        left, right = right, left
    for index, count in enumerate(right):
        if count:
            left[index] += count
    return left
