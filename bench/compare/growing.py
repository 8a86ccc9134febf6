"""A cluster that grows while it runs, what its gateways have counted, and what its processes have used."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from bench.cluster import rig
from homing.cluster.process import die_with
from homing.cluster.topics import forget_topics
from homing.cluster.trouble import CommandError

STOP_WITHIN = 15.0  # seconds

find_counters = re.compile(r"^homing_(?:gateway|router)_(\w+)_total (\S+)$", re.M).findall
Counted = dict[str, int]


class Growing:
    """One router, and gateways that join one after the other."""

    def __init__(self, cluster: rig.Cluster, admins: list[str], routers: list[str]) -> None:
        self.cluster = cluster
        self._admins = admins  # each gateway's own listener
        self._routers = routers
        self._joined: list[subprocess.Popen[str]] = []
        self._log = cluster.run_dir / "logs" / "joined.log"

    @property
    def gateways(self) -> int:
        """How many there are now."""
        return len(self._admins)

    def grow(self, gateways: int) -> None:
        """Start more, until there are so many. Trouble: one does not start."""
        fresh = [self._start() for _ in range(gateways - self.gateways)]
        self._joined += fresh
        for process in fresh:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise CommandError(f"a gateway did not start; the end of its log: {self._log.read_text()[-500:]}")
            ready = json.loads(line)
            self._admins.append(ready["admin"])
            self.cluster.urls.append(ready["url"])
            self.cluster.pids["gateways"].append(ready["pid"])

    def _start(self) -> "subprocess.Popen[str]":
        anywhere = ("--listen", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        command = [
            sys.executable,
            "-P",
            "-m",
            "homing",
            "gateway",
            "--config",
            str(self.cluster.run_dir / "homing.toml"),
        ]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, *anywhere],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop it
                preexec_fn=die_with(os.getpid()),
            )

    def counted(self) -> Counted:
        """What the gateways say that they have counted, all together."""
        return _sum(self._admins)

    def router_counted(self) -> Counted:
        """The same of the router."""
        return _sum(self._routers)

    def used(self) -> dict[str, float]:
        """Seconds of CPU by kind of process."""
        return {kind: sum(map(_cpu_of, pids)) for kind, pids in self.cluster.pids.items()}

    def stop(self) -> None:
        """Stop those that have joined; the others are their supervisor's."""
        for process in self._joined:
            process.terminate()
        for process in self._joined:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN)
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextlib.contextmanager
def growing(mode: str, bus: str, kafka: str) -> Iterator[Growing]:
    """A cluster with one gateway, stopped at the end. `kafka`: a broker that is there already; "" starts one."""
    admin, name = f"127.0.0.1:{_free_port()}", f"compare-{secrets.token_hex(4)}"
    settings = f'[gateway]\nadmin = "{admin}"\n[delivery]\nchannel = "homing.{name}.pushes"\n'
    settings += f'[events]\nname = "homing.{name}.events"\n[commands]\ntopic = "homing.{name}.commands"\n'
    settings += f'dead = "homing.{name}.dead"\ngroup = "homing.{name}"\n'
    arguments = ["--delivery", mode, "--bus", bus, *(("--kafka", kafka) if bus == "kafka" and kafka else ())]
    with contextlib.ExitStack() as after, contextlib.ExitStack() as stack:
        if bus == "kafka" and kafka:
            after.callback(forget_topics, kafka, f"homing.{name}.")  # once nobody is left who would make them again
        cluster = stack.enter_context(rig.cluster(1, *arguments, settings=settings))
        told = json.loads((cluster.run_dir / "cluster.json").read_bytes())
        made = Growing(cluster, [admin], [told["routers"][0]["http"]])
        stack.callback(made.stop)
        yield made


def _sum(addresses: list[str]) -> Counted:
    total: Counted = {}
    for address in addresses:
        with urlopen(f"http://{address}/metrics", timeout=10) as answer:
            for name, value in find_counters(answer.read().decode()):
                total[name] = total.get(name, 0) + int(float(value))
    return total


def _cpu_of(pid: int) -> float:
    """Seconds of CPU of this process, to the nanosecond where the kernel says it: a tick is 10 ms."""
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except (OSError, IndexError):
        return rig.cpu_of(pid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
