"""A cluster whose number of gateways grows while it runs, with the counters of its services and their CPU."""

import contextlib
import json
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.cluster.process_usage import cpu_seconds
from bench.process import killed_with_parent
from homing.cluster.errors import CommandError
from homing.cluster.kafka_topics import delete_topics

STOP_TIMEOUT = 15.0  # seconds

find_counters = re.compile(r"^homing_(?:gateway|router)_(\w+)_total (\S+)$", re.M).findall
CounterValues = dict[str, int]


class GrowingCluster:
    """One router, one gateway of `homing up`, and further gateways of this process."""

    def __init__(self, cluster: BenchCluster, gateway_admins: list[str], router_admins: list[str]) -> None:
        self.cluster = cluster
        self._gateway_admins = gateway_admins  # addresses that serve /metrics
        self._router_admins = router_admins
        self._added: list[subprocess.Popen[str]] = []
        self._log = cluster.run_dir / "logs" / "added-gateways.log"

    @property
    def gateways(self) -> int:
        """The current number of gateways."""
        return len(self._gateway_admins)

    def grow_to(self, gateways: int) -> None:
        """Start gateways until there are `gateways`. CommandError: one did not start."""
        started = [self._start_gateway() for _ in range(gateways - self.gateways)]
        self._added += started
        for process in started:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise CommandError(f"a gateway did not start; the end of its log: {self._log.read_text()[-500:]}")
            ready = json.loads(line)
            self._gateway_admins.append(ready["admin"])
            self.cluster.urls.append(ready["url"])
            self.cluster.pids["gateways"].append(ready["pid"])

    def _start_gateway(self) -> "subprocess.Popen[str]":
        addresses = ("--listen", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
        config = str(self.cluster.run_dir / "homing.toml")
        with self._log.open("ab") as log:
            return subprocess.Popen(
                killed_with_parent([sys.executable, "-P", "-m", "homing", "gateway", "--config", config, *addresses]),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the gateway
            )

    def gateway_counters(self) -> CounterValues:
        """The sums of all gateways' counters, by name."""
        return _sum_counters(self._gateway_admins)

    def router_counters(self) -> CounterValues:
        """The router's counters, by name."""
        return _sum_counters(self._router_admins)

    def cpu_seconds(self) -> dict[str, float]:
        """Seconds of CPU by kind of process."""
        return {kind: sum(map(_precise_cpu_seconds, pids)) for kind, pids in self.cluster.pids.items()}

    def stop(self) -> None:
        """Stop the added gateways; `homing up` stops the other processes."""
        for process in self._added:
            process.terminate()
        for process in self._added:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT)
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextlib.contextmanager
def growing_cluster(mode: str, bus: str, kafka: str) -> Iterator[GrowingCluster]:
    """A cluster with one gateway, stopped at the end. `kafka`: host:port of a running Kafka; "": start one."""
    admin, name = f"127.0.0.1:{_free_port()}", f"compare-{secrets.token_hex(4)}"
    settings = f'[gateway]\nadmin = "{admin}"\n[delivery]\nchannel = "homing.{name}.pushes"\n'
    settings += f'[events]\nname = "homing.{name}.events"\n[commands]\ntopic = "homing.{name}.commands"\n'
    settings += f'dead = "homing.{name}.dead"\ngroup = "homing.{name}"\n'
    arguments = ["--delivery", mode, "--bus", bus, *(("--kafka", kafka) if bus == "kafka" and kafka else ())]
    with contextlib.ExitStack() as after, contextlib.ExitStack() as stack:
        if bus == "kafka" and kafka:  # after the cluster has stopped: it would create the topics again
            after.callback(delete_topics, kafka, f"homing.{name}.")
        cluster = stack.enter_context(start_cluster(1, *arguments, settings=settings))
        content = json.loads((cluster.run_dir / "cluster.json").read_bytes())
        growing = GrowingCluster(cluster, [admin], [content["routers"][0]["admin"]])
        stack.callback(growing.stop)
        yield growing


def _sum_counters(addresses: list[str]) -> CounterValues:
    total: CounterValues = {}
    for address in addresses:
        with urlopen(f"http://{address}/metrics", timeout=10) as response:
            for name, value in find_counters(response.read().decode()):
                total[name] = total.get(name, 0) + int(float(value))
    return total


def _precise_cpu_seconds(pid: int) -> float:
    """Seconds of CPU of the process, from the scheduler's nanoseconds where the kernel has them."""
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except (OSError, IndexError):
        return cpu_seconds(pid)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
