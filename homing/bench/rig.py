"""A cluster of its own for one run, and what each of its processes has used."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from homing.cluster import devtoken
from homing.cluster.trouble import Trouble

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
USER = "bench"
TOKEN_FOR = 3600.0  # seconds


class Cluster:
    """A running cluster, as cluster.json tells it."""

    def __init__(self, told: Mapping[str, Any], run_dir: Path) -> None:
        self.urls = [str(gateway["url"]) for gateway in told["gateways"]]
        self.grpc = str(told["routers"][0]["grpc"])
        self.pids: dict[str, list[int]] = {
            "gateways": [gateway["pid"] for gateway in told["gateways"]],
            "routers": [router["pid"] for router in told["routers"]],
            "etcd": [told["servers"]["etcd"]],
            "redis": [told["servers"]["redis"]],
        }
        self._key = devtoken.read_key(run_dir)

    def token(self, user: str, *files: str) -> str:
        """A client's token."""
        return devtoken.sign(self._key, user, files, time.time(), TOKEN_FOR)

    def used(self) -> dict[str, float]:
        """Seconds of CPU by kind of process, and of this one: the generator."""
        used = {kind: sum(map(cpu_of, pids)) for kind, pids in self.pids.items()}
        return used | {"generator": time.process_time()}

    def rss(self) -> int:
        """Bytes that the gateways hold."""
        return sum(map(rss_of, self.pids["gateways"]))


@contextlib.contextmanager
def cluster(gateways: int) -> Iterator[Cluster]:
    """`homing up` in a directory of its own, stopped at the end. Trouble: it did not come up."""
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        run_dir = Path(folder) / "run"
        command = [
            sys.executable,
            "-m",
            "homing",
            "up",
            "--gateways",
            str(gateways),
            "--run-dir",
            str(run_dir),
            "--json",
        ]
        up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert up.stdout is not None
        try:
            line = up.stdout.readline()
            if not line:
                raise Trouble("`homing up` did not come up; try it alone to see why")
            yield Cluster(json.loads(line), run_dir)
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()


@contextlib.contextmanager
def floor(mode: str, *arguments: str) -> Iterator["Floor"]:
    """A bare server (`homing.bench.floor`) that does the least that the scenario's job takes."""
    command = [sys.executable, "-m", "homing.bench.floor", mode, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Floor(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class Floor:
    """A bare server: where it listens, what it has used, and a line to it and back."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self.read())

    def used(self) -> float:
        """Seconds of CPU."""
        return cpu_of(self._process.pid)

    def rss(self) -> int:
        """Bytes."""
        return rss_of(self._process.pid)

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def cpu_of(pid: int) -> float:
    """Seconds of CPU, user and system, that this process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_of(pid: int) -> int:
    """Bytes of memory that this process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def per(before: Mapping[str, float], after: Mapping[str, float], operations: int) -> dict[str, float]:
    """Microseconds of CPU an operation, by kind of process."""
    return {kind: round((after[kind] - before[kind]) / operations * 1e6, 1) for kind in before}
