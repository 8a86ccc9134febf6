"""A cluster for one benchmark run, and the CPU, memory and log warnings of its processes."""

import contextlib
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.cluster.process_usage import cpu_seconds, rss_bytes
from bench.process import killed_with_parent
from homing.cluster import devtoken
from homing.cluster.errors import CommandError

MAX_WARNINGS = 10  # different log lines in a result
MAX_GATEWAYS = 64  # the limit of `homing up`
# A load generator's client sends what many clients would: the limits are counted, and never reached.
HIGH_LIMITS = """
[gateway.limits]
messages_per_second = 1_000_000_000
messages_burst = 1_000_000_000
bytes_per_second = 1_000_000_000
bytes_burst = 1_000_000_000
"""
TOKEN_TTL = 3600.0  # seconds


class BenchCluster:
    """A running cluster, from the content of its cluster.json."""

    def __init__(self, cluster: Mapping[str, Any], run_dir: Path, ca: str = "") -> None:
        """`ca`: the PEM file of the gateways' certificate; "": clients speak no TLS."""
        self.ca = ca
        self.urls = [str(gateway["url"]) for gateway in cluster["gateways"]]
        self.grpc = str(cluster["routers"][0]["grpc"])
        self.redis, self.kafka = str(cluster["redis"]), str(cluster.get("kafka", ""))
        self.pids: dict[str, list[int]] = {
            "gateways": [gateway["pid"] for gateway in cluster["gateways"]],
            "routers": [router["pid"] for router in cluster["routers"]],
            **{name: [pid] for name, pid in cluster["servers"].items()},
        }
        self.run_dir = run_dir
        self._logs = run_dir / "logs"
        self.key = devtoken.read_key(run_dir)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What clients trust; None: they speak no TLS."""
        return ssl.create_default_context(cafile=self.ca) if self.ca else None

    def token(self, user: str, *files: str) -> str:
        """A client's token."""
        return devtoken.sign(self.key, user, files, time.time(), TOKEN_TTL)

    def add_processes(self, kind: str, pids: list[int]) -> None:
        """Measure further processes: a part of the load generator."""
        self.pids[kind] = pids

    def cpu_seconds(self) -> dict[str, float]:
        """Seconds of CPU by kind of process; "generator": this process, which leads the load generator."""
        used = {kind: sum(map(cpu_seconds, pids)) for kind, pids in self.pids.items()}
        return used | {"generator": time.process_time()}

    def log_warnings(self) -> dict[str, int]:
        """The services' log lines that are a warning or worse, or report a broken stream, with their numbers."""
        found: Counter[str] = Counter()
        for log in sorted(self._logs.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if '"service"' in line and (warning := warning_of(line)):
                    found[f"{log.stem}: {warning}"] += 1
        return dict(found.most_common(MAX_WARNINGS))

    def rss_bytes(self, kind: str = "gateways") -> int:
        """Bytes of resident memory of the processes of this kind."""
        return sum(map(rss_bytes, self.pids[kind]))


@contextlib.contextmanager
def start_cluster(gateways: int, *arguments: str, settings: str = "", tls: bool = False) -> Iterator[BenchCluster]:
    """`homing up` in a directory of its own, stopped at the end. `settings`: the text of a homing.toml. `tls`: gateways
    have a certificate of their own making.

    CommandError: the cluster did not start.
    """
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as folder:
        run_dir, config = Path(folder) / "run", Path(folder) / "homing.toml"
        ca, secure = _certificate(Path(folder)) if tls else ("", "")
        config.write_text(settings + HIGH_LIMITS + secure)
        command = [sys.executable, "-P", "-m", "homing", "up", "--ports", "random", "--run-dir", str(run_dir), "--json"]
        log = Path(folder) / "up.log"
        with log.open("wb") as stderr:
            up = subprocess.Popen(
                killed_with_parent([*command, "--gateways", str(gateways), "--config", str(config), *arguments]),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then stops `up`
            )
        assert up.stdout is not None
        try:
            line = up.stdout.readline()
            if not line:
                raise CommandError(f"`homing up` did not start:\n{log.read_text(errors='replace').rstrip()}")
            yield BenchCluster(json.loads(line), run_dir, ca)
        finally:
            up.terminate()
            up.wait()
            up.stdout.close()


def _certificate(folder: Path) -> tuple[str, str]:
    """The file that clients trust, and the gateways' settings."""
    from bench.micro.tls_pair import write_pair

    ca, (cert, key) = write_pair(folder)
    return ca, f"[gateway.tls]\ncert_file = {json.dumps(cert)}\nkey_file = {json.dumps(key)}\n"


def warning_of(line: str) -> str:
    """The warning in a line of a service's log, with the last line of its exception; "": no warning."""
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    event = str(record.get("event", ""))
    is_warning = record.get("level") in ("warning", "error", "critical") or " is down" in event or " is gone" in event
    if not is_warning:
        return ""
    return f"{event} ({str(record['exception']).splitlines()[-1]})" if "exception" in record else event
