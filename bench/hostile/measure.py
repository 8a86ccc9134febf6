"""Runs one attack: the attack and a bystander as processes, and the server's memory meanwhile."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.cluster.process_usage import rss_bytes
from bench.hostile import frames
from bench.hostile.attack import Attack
from bench.hostile.costs import Costs
from bench.hostile.peer import Peer
from bench.hostile.servers import Server
from bench.process import child_process, module_command, write_line

SAMPLE_INTERVAL = 0.02  # seconds between two readings of the memory
WARM_UP = 0.3  # seconds of the bystander before its measurement
ENDS_WITHIN = 75.0  # seconds beyond its time, after which an attack is killed
SERVES_WITHIN = 10.0  # seconds
SETTLE_TIME = 1.0  # seconds, before the memory after an attack is read
MIB = 1 << 20


class Memory(NamedTuple):
    """MiB of resident memory of a server: before an attack, the highest during it, and after it."""

    before: float
    highest: float
    after: float


class Result(NamedTuple):
    """What an attack did to a server."""

    attack: str
    kind: str
    server: str
    found: str  # in words: what the server did
    health: dict[str, Any]  # as of `bystander_process`
    push: dict[str, Any]
    rss_mib: Memory
    serves: bool


class Bystander:
    """A running `bench.hostile.bystander_process`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self) -> None:
        """Begin a measurement."""
        write_line(self._process, "start")

    def stop(self) -> dict[str, Any]:
        """End it. The result is that of `bystander_process`."""
        write_line(self._process, "stop")
        assert self._process.stdout is not None
        read: dict[str, Any] = json.loads(self._process.stdout.readline())
        return read


@contextlib.contextmanager
def bystander(server: Server) -> Iterator[Bystander]:
    """A bystander whose connections are open."""
    with child_process(module_command("bench.hostile.bystander_process", str(server.port))) as process:
        caller = Bystander(process)
        caller.start()
        time.sleep(WARM_UP)
        caller.stop()
        yield caller


def measure(server: Server, attack: Attack, seconds: float) -> Result:
    """One attack on a server."""
    seconds = max(seconds, attack.least_seconds)
    before = rss_bytes(server.pid)
    with bystander(server) as caller:
        caller.start()
        found, highest = _run(server, attack, seconds)
        seen = caller.stop()
    time.sleep(SETTLE_TIME)
    after = rss_bytes(server.pid)
    highest = max(highest, before, after)
    rss = Memory(*(round(size / MIB, 1) for size in (before, highest, after)))
    return Result(attack.name, attack.kind, server.name, found, seen["health"], seen["push"], rss, serves(server))


def _run(server: Server, attack: Attack, seconds: float) -> tuple[str, int]:
    """What the attack reports, and the highest memory of the server meanwhile."""
    highest, until = 0, time.monotonic() + seconds + ENDS_WITHIN
    arguments = [attack.name, str(server.port), str(server.http_port), str(seconds)]
    with child_process(module_command("bench.hostile.attack_process", *arguments)) as process:
        while process.poll() is None and time.monotonic() < until:
            highest = max(highest, rss_bytes(server.pid))
            time.sleep(SAMPLE_INTERVAL)
        assert process.stdout is not None
        return (process.stdout.read().strip() if process.poll() is not None else "") or "the attack failed", highest


def serves(server: Server) -> bool:
    """Whether the server answers a new connection."""
    try:
        peer = Peer(server.port)
        peer.write(frames.call(1, frames.HEALTH), SERVES_WITHIN)
        peer.read(SERVES_WITHIN, lambda: 1 in peer.ended)
        peer.close()
    except OSError:
        return False
    return peer.responses.get(1, {}).get("grpc-status") == "0"


def measure_costs(server: Server) -> Costs:
    """Microseconds of the server's CPU, by kind of call."""
    with child_process(module_command("bench.hostile.costs", str(server.port), str(server.pid))) as process:
        assert process.stdout is not None
        read: Costs = json.loads(process.stdout.readline())
        return read
