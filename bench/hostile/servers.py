"""The servers under attack, each a process of its own: our router, a grpcio server with the same services, nghttpd."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from bench.cluster.bench_cluster import BenchCluster, start_cluster
from bench.cluster.load.client_pool import cluster_clients
from bench.process import child_process, module_command
from homing.cluster.errors import CommandError
from homing.cluster.servers import free_ports

HOST = "127.0.0.1"
START_TIMEOUT = 10.0  # seconds
GRPC_GO = Path(".tools/bin/grpc-go-server")
PUSH_USER = "user-0"  # the user of the one connected client
NGHTTPD_PAGE = b"x" * 4096  # with a body of one byte h2spec skips its cases of flow control


class Server(NamedTuple):
    """A running server."""

    name: str
    version: str
    port: int  # gRPC, or HTTP/2
    pid: int
    http_port: int = 0  # HTTP/JSON; 0: none


@contextlib.contextmanager
def router_server() -> Iterator[Server]:
    """Our router, of a cluster with one gateway, to which `PUSH_USER` is connected."""
    with start_cluster(1) as cluster, cluster_clients(cluster, 1) as pool:
        pool.open_all(1, 100)
        yield Server("homing", version("homing"), _port(cluster.grpc), cluster.pids["routers"][0], _http_port(cluster))


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _http_port(cluster: BenchCluster) -> int:
    written = json.loads((cluster.run_dir / "cluster.json").read_bytes())
    return _port(written["routers"][0]["http"])


@contextlib.contextmanager
def grpcio_server() -> Iterator[Server]:
    """`bench.hostile.grpcio_process`."""
    with child_process(module_command("bench.hostile.grpcio_process")) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise CommandError("the grpcio server did not start")
        yield Server("grpcio", version("grpcio"), int(port), process.pid)


@contextlib.contextmanager
def nghttpd_server() -> Iterator[Server]:
    """nghttpd, of Debian's package nghttp2-server, which serves one page."""
    program = shutil.which("nghttpd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise CommandError("nghttpd is missing: apt-get install nghttp2-server")
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="homing-nghttpd-") as folder:
        (Path(folder) / "index.html").write_bytes(NGHTTPD_PAGE)
        with child_process([program, "--no-tls", "--address", HOST, "--htdocs", folder, str(port)]) as process:
            wait_listening(port)
            yield Server("nghttpd", _output([program, "--version"]).rpartition("/")[2], port, process.pid)


@contextlib.contextmanager
def grpc_go_server() -> Iterator[Server]:
    """bench/hostile/grpc_go, which `make .tools/bin/grpc-go-server` builds."""
    if not GRPC_GO.exists():
        raise CommandError(f"{GRPC_GO} is missing: make {GRPC_GO}")
    with child_process([str(GRPC_GO)]) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server("grpc-go", _go_module_version(), port, process.pid)


def _go_module_version() -> str:
    lines = _output(["go", "version", "-m", str(GRPC_GO)]).splitlines()
    return next((line.split()[2] for line in lines if "google.golang.org/grpc\t" in line), "").removeprefix("v")


SERVERS: dict[str, Callable[[], "contextlib.AbstractContextManager[Server]"]] = {
    "homing": router_server,
    "grpcio": grpcio_server,
    "nghttpd": nghttpd_server,
    "grpc-go": grpc_go_server,
}


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def wait_listening(port: int) -> None:
    """Wait for a listener on this port. CommandError: none within the limit."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.02)
    raise CommandError(f"nothing listens on port {port}")
