"""A cluster of its own for one run, and what each of its processes has used."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.process import environment, module_command
from homing.cluster import devtoken
from homing.cluster.process import die_with
from homing.cluster.trouble import CommandError

SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED
PAGE = os.sysconf("SC_PAGE_SIZE")
MOST_COMPLAINTS = 10  # different lines of the services' logs that are told
MOST_GATEWAYS = 64  # that `homing up` starts
TOKEN_FOR = 3600.0  # seconds


class Cluster:
    """A running cluster, as cluster.json tells it."""

    def __init__(self, told: Mapping[str, Any], run_dir: Path) -> None:
        self.urls = [str(gateway["url"]) for gateway in told["gateways"]]
        self.grpc = str(told["routers"][0]["grpc"])
        self.redis, self.kafka = str(told["redis"]), str(told.get("kafka", ""))
        self.pids: dict[str, list[int]] = {
            "gateways": [gateway["pid"] for gateway in told["gateways"]],
            "routers": [router["pid"] for router in told["routers"]],
            **{name: [pid] for name, pid in told["servers"].items()},
        }
        self.run_dir = run_dir
        self._logs = run_dir / "logs"
        self.key = devtoken.read_key(run_dir)

    def token(self, user: str, *files: str) -> str:
        """A client's token."""
        return devtoken.sign(self.key, user, files, time.time(), TOKEN_FOR)

    def watch(self, kind: str, pids: list[int]) -> None:
        """Count these processes too: a part of the generator."""
        self.pids[kind] = pids

    def used(self) -> dict[str, float]:
        """Seconds of CPU by kind of process, and of this one: the generator, or what leads it."""
        used = {kind: sum(map(cpu_of, pids)) for kind, pids in self.pids.items()}
        return used | {"generator": time.process_time()}

    def complaints(self) -> dict[str, int]:
        """What the services have logged as a warning or worse, or of a stream that went down: how often each."""
        found: Counter[str] = Counter()
        for log in sorted(self._logs.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if '"service"' in line and (complaint := judge_line(line)):
                    found[f"{log.stem}: {complaint}"] += 1
        return dict(found.most_common(MOST_COMPLAINTS))

    def rss(self, kind: str = "gateways") -> int:
        """Bytes that the processes of this kind hold."""
        return sum(map(rss_of, self.pids[kind]))


@contextlib.contextmanager
def cluster(gateways: int, *arguments: str, settings: str = "") -> Iterator[Cluster]:
    """`homing up` in a directory of its own, stopped at the end. `settings`: a homing.toml, as text.

    Trouble: it did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        run_dir, config = Path(folder) / "run", Path(folder) / "homing.toml"
        config.write_text(settings)
        command = [sys.executable, "-P", "-m", "homing", "up", "--run-dir", str(run_dir), "--json"]
        said = Path(folder) / "up.log"
        with said.open("wb") as log:
            up = subprocess.Popen(
                [*command, "--gateways", str(gateways), "--config", str(config), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop it
                preexec_fn=die_with(os.getpid()),
            )
        assert up.stdout is not None
        try:
            line = up.stdout.readline()
            if not line:
                raise CommandError(f"`homing up` did not come up:\n{said.read_text(errors='replace').rstrip()}")
            yield Cluster(json.loads(line), run_dir)
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()


@contextlib.contextmanager
def floor(mode: str, *arguments: str) -> Iterator["Floor"]:
    """A bare server (`bench.cluster.floor`) that does the least that the scenario's job takes."""
    process = subprocess.Popen(
        module_command("bench.cluster.floor", mode, *arguments),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with(os.getpid()),
    )
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


def judge_line(line: str) -> str:
    """What a service complains of in this line of its log; "" for nothing."""
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    event = str(told.get("event", ""))
    unusual = told.get("level") in ("warning", "error", "critical") or " is down" in event or " is gone" in event
    if not unusual:
        return ""
    return f"{event} ({str(told['exception']).splitlines()[-1]})" if "exception" in told else event


def cpu_of(pid: int) -> float:
    """Seconds of CPU, user and system, that this process has used; 0 when it is gone.

    By the process's own CPU clock (clock_getcpuclockid, whose Linux encoding this is), in ns: /proc counts in ticks of
    10 ms, too coarse for a short run.
    """
    try:
        return time.clock_gettime(~pid << 3 | SCHEDULER_CLOCK)
    except OSError:
        return 0.0


def rss_of(pid: int) -> int:
    """Bytes of memory that this process holds."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, IndexError):
        return 0


def per(before: Mapping[str, float], after: Mapping[str, float], operations: int) -> dict[str, float]:
    """Microseconds of CPU an operation, by kind of process."""
    return {kind: round((after[kind] - before[kind]) / operations * 1e6, 1) for kind in before}
