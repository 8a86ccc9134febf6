"""All clients of one run, spread over processes of at most 18,000, as their parent has them."""

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

from bench.cluster.limits import files_for_clients
from bench.cluster.load import histogram
from bench.cluster.load.loadprocess import LoadProcess, Told
from bench.cluster.load.tally import KINDS
from bench.cluster.rig import Cluster
from homing.cluster.trouble import CommandError

MOST = 18_000  # clients of one process: below the usual 20,000 files
SOURCES = 16  # addresses of each process; one has 28,000 ports to one destination, and used ones rest a while
LOOK = 0.1  # seconds between two looks at the counts


class Counts:
    """What all processes together have counted."""

    def __init__(self, told: Sequence[Told]) -> None:
        self.live, self.waiting = _sum(told, "live"), _sum(told, "waiting")
        self.connected, self.lost = _sum(told, "connected"), _sum(told, "lost")
        self.pushes, self.acks = _sum(told, "pushes"), _sum(told, "acks")
        self.pings, self.strange = _sum(told, "pings"), _sum(told, "strange")
        self.refused = _merge(told, "refused")
        self.closes = _merge(told, "closes")
        self.connects = histogram.empty()
        self.latencies = [histogram.empty() for _ in range(KINDS)]
        for one in told:
            histogram.add(self.connects, one["connects"])
            for kind in range(KINDS):
                histogram.add(self.latencies[kind], one["latencies"][kind])


Say = Callable[[Counts], None]


class Crowds:
    """Several crowd processes with one voice."""

    def __init__(self, processes: Sequence[LoadProcess]) -> None:
        self._processes = processes

    @property
    def pids(self) -> list[int]:
        """All processes."""
        return [one.pid for one in self._processes]

    def counts(self) -> Counts:
        """As of now."""
        return Counts([one.ask("told") for one in self._processes])

    def open(self, count: int, rate: float, first: int = 0) -> None:
        """Begin to open so many more clients, so many a second in all."""
        for part, start, number in self._shares(count):
            part.ask("open", first=first + start, count=number, rate=rate * number / count)

    def churn(self, rate: float, spare: int = 0, first: int = 0) -> None:
        """So many leave a second, and as many come: at first the `spare` users from `first` on."""
        for part, start, number in self._shares(spare or len(self._processes)):
            share = rate / len(self._processes)
            part.ask("churn", rate=share, first=first + start, count=number if spare else 0)

    def drop(self, back: bool, rate: float) -> None:
        """All are gone at once, without a word; with `back` they come back, so many a second in all."""
        share = rate / len(self._processes)
        for one in self._processes:  # all of them are told before the first has answered
            one.write({"do": "drop", "back": back, "rate": share})
        for one in self._processes:
            one.read()

    def redirect(self, urls: Sequence[str], back: bool, rate: float) -> None:
        """Who dials from now on dials one of these; with `back` whoever is lost comes back, so many a second in all."""
        for one in self._processes:
            one.ask("settings", urls=addresses(urls), back=back, rate=rate / len(self._processes))

    def halt(self) -> None:
        """Nobody more comes."""
        for one in self._processes:
            one.ask("halt")

    def forget_latencies(self) -> None:
        """From now on, anew."""
        for one in self._processes:
            one.ask("forget")

    def received(self, kind: int) -> "array[int]":
        """By number: how many clients have heard that push."""
        total = array("I")
        with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
            for index, one in enumerate(self._processes):
                place = Path(folder) / str(index)
                one.ask("dump", path=str(place))
                got = array("I")
                got.frombytes(Path(f"{place}.{kind}").read_bytes())
                total = _add(total, got)
        return total

    def wait(self, until: Callable[[Counts], bool], seconds: float, say: Say | None = None) -> bool:
        """Until the counts are so (True), or the time is over; `say` hears them every 2 s."""
        end, next_say = time.monotonic() + seconds, time.monotonic() + 2
        while not until(counts := self.counts()):
            now = time.monotonic()
            if now > end:
                return False
            if say is not None and now > next_say:
                say(counts)
                next_say = now + 2
            time.sleep(LOOK)
        return True

    def open_all(self, count: int, rate: float, first: int = 0, say: Say | None = None) -> dict[str, Any]:
        """Open so many more and wait until all are there. Trouble: they do not come."""
        before, began = self.counts().live, time.monotonic()
        self.open(count, rate, first)
        if not self.wait(lambda told: told.live >= before + count, count / rate * 3 + 60, say):
            told = self.counts()
            raise CommandError(
                f"only {told.live - before} of {count} clients came; refused: {dict(told.refused) or 'none'}"
            )
        return {"connects_per_s": round(count / (time.monotonic() - began))}

    def _shares(self, count: int) -> Iterator[tuple[LoadProcess, int, int]]:
        """(process, where its share begins, how many)."""
        number = len(self._processes)
        for index, one in enumerate(self._processes):
            start, end = count * index // number, count * (index + 1) // number
            if end > start:
                yield one, start, end - start


@contextlib.contextmanager
def crowds(
    urls: Sequence[str], key: bytes, clients: int, protocol: str = "homing.json", files: Sequence[str] = ()
) -> Iterator[Crowds]:
    """As many processes as so many clients need. An empty key: nobody asks for a token."""
    number = max(1, math.ceil(clients / min(MOST, files_for_clients())))
    with contextlib.ExitStack() as stack:
        made: list[LoadProcess] = []
        for index in range(number):
            first = {
                "urls": addresses(urls),
                "key": key.hex(),
                "sources": sources(index),
                "protocol": protocol,
                "files": list(files),
            }
            made.append(LoadProcess("bench.cluster.load.crowd", **first))
            stack.callback(made[-1].close)
        yield Crowds([one.wait_started() for one in made])


@contextlib.contextmanager
def crowd_of(
    cluster: Cluster, clients: int, protocol: str = "homing.json", file: str = "", name: str = "crowd"
) -> Iterator[Crowds]:
    """The clients of this cluster; their CPU counts as `name`."""
    with crowds(cluster.urls, cluster.key, clients, protocol, [file] if file else []) as made:
        cluster.watch(name, made.pids)
        yield made


def sources(index: int) -> list[str]:
    """The loopback addresses that the `index`-th process dials from."""
    if not os.path.exists("/proc/self"):  # only Linux has all of 127.0.0.0/8
        return ["127.0.0.1"]
    return [f"127.{1 + index % 200}.{index // 200}.{host}" for host in range(1, SOURCES + 1)]


def addresses(urls: Sequence[str]) -> list[list[Any]]:
    """[host, port] of each URL."""
    return [[urlsplit(url).hostname, urlsplit(url).port] for url in urls]


def _sum(told: Sequence[Told], name: str) -> int:
    return sum(int(one[name]) for one in told)


def _merge(told: Sequence[Told], name: str) -> "Counter[str]":
    return sum((Counter(one[name]) for one in told), Counter())


def _add(left: "array[int]", right: "array[int]") -> "array[int]":
    if len(left) < len(right):
        left, right = right, left
    for index, count in enumerate(right):
        if count:
            left[index] += count
    return left
