"""A pusher process, as its parent has it."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.cluster.load import histogram
from bench.cluster.load.loadprocess import LoadProcess, Told, load_process
from bench.cluster.load.pace import TOO_LATE
from bench.cluster.rig import Cluster

AFTER = 30.0  # seconds that the last reports may take


class Pusher:
    """Pushes one series at a time."""

    def __init__(self, process: LoadProcess) -> None:
        self._process = process
        self.told: Told = {}

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def begin(
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
        """Begin a series: `count` targets by turns, named by a pattern with %d or a list; a session by its sid."""
        self.told = self._process.ask(
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

    def look(self) -> Told:
        """The counts as of now."""
        self.told = self._process.ask("told")
        return self.told

    def wait(self, seconds: float, say: Callable[[Told], None] | None = None) -> Told:
        """Until everything is sent and reported, or that is late; `seconds`: how long sending takes."""
        end, next_say = time.monotonic() + seconds + AFTER, time.monotonic() + 2
        while not self.over(self.look()) and (now := time.monotonic()) < end:
            if say is not None and now > next_say:
                say(self.told)
                next_say = now + 2
            time.sleep(0.05)
        return self.told

    def over(self, told: Told) -> bool:
        """Whether nothing more will come."""
        return bool(not told["busy"] and (told["reported"] >= told["sent"] or told["ended"]))

    def codes(self) -> bytes:
        """A byte a push: bench.cluster.load.outcomes."""
        with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
            place = Path(folder) / "codes"
            self._process.ask("dump", path=str(place))
            return place.read_bytes()


def kept_up(told: Told) -> bool:
    """Whether the generator did: all is sent, not too much of it late, and the stream was not cut."""
    return not told["ended"] and told["sent"] >= told["number"] and told["late"] <= told["number"] * TOO_LATE


def report_latencies(told: Told) -> dict[str, Any]:
    """p50 and p99 from due to report."""
    return {f"report_{name}": value for name, value in histogram.quantiles(told["latencies"]).items()}


@contextlib.contextmanager
def pusher(cluster: Cluster, name: str = "pusher") -> Iterator[Pusher]:
    """A pusher to this cluster's first router; its CPU counts as `name`."""
    with load_process("bench.cluster.load.pusher", router=cluster.grpc) as process:
        cluster.watch(name, [process.pid])
        yield Pusher(process)
