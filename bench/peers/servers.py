"""The servers, each a process of its own: the gateway in two ways, those of other projects, and a bare loop."""

import contextlib
import json
import platform
import ssl
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from bench.cluster.bench_cluster import start_cluster
from bench.peers.endpoint import PeerEndpoint
from bench.peers.server_settings import ServerSettings
from bench.process import child_process
from homing.cluster.errors import CommandError

PEERS = Path(".tools/peers/bin/python")  # `make peers`
ECHO_PATH = "/echo"
ECHO, BARE = "homing-echo", "bare"
PROCESSES = {
    "aiohttp": ("bench.peers.aiohttp_process",),
    "websockets": ("bench.peers.websockets_process",),
    "socketify": ("bench.peers.socketify_process", "asyncio"),
    "socketify-libuv": ("bench.peers.socketify_process", "libuv"),
    BARE: ("bench.peers.bare_process",),
}
"""The module and the first arguments of each server that is not a gateway."""

NAMES = ("homing", ECHO, *PROCESSES)
PACKAGES = ("aiohttp", "websockets", "socketify", "uvloop")


class PeerServer(NamedTuple):
    """A running server."""

    name: str
    pid: int
    endpoint: PeerEndpoint

    @property
    def is_bare(self) -> bool:
        """Whether it is the bare loop, of which only CPU is measured."""
        return self.name == BARE

    @property
    def delivers(self) -> bool:
        """Whether it can send one message to all connections."""
        return self.name != ECHO


class Certificate(NamedTuple):
    """Paths of PEM files: what clients trust, and the certificate with its key. All "": no TLS."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@contextlib.contextmanager
def running(name: str, certificate: Certificate, deflate: bool) -> Iterator[PeerServer]:
    """The server of this name, stopped at the end. CommandError: it did not start."""
    start = _process if name in PROCESSES else _gateway
    with start(name, certificate, deflate) as server:
        yield server


@contextlib.contextmanager
def _gateway(name: str, certificate: Certificate, deflate: bool) -> Iterator[PeerServer]:
    """`homing`: clients with tokens and registrations at /ws; `homing-echo`: bare ones at the gateway's echo path."""
    echoes = name == ECHO
    settings = f'[gateway]\necho_path = "{ECHO_PATH}"\n' if echoes else ""
    settings += "[gateway.compression]\nenabled = true\n" if deflate else ""
    with start_cluster(1, settings=settings, tls=bool(certificate.ca)) as cluster:
        port = int(cluster.urls[0].split("/")[2].rpartition(":")[2])
        of_homing = {} if echoes else {"key": cluster.key.hex(), "router": cluster.grpc}
        path = ECHO_PATH if echoes else "/ws"
        endpoint = PeerEndpoint(port, path, cluster.ca, deflate, **of_homing)
        yield PeerServer(name, cluster.pids["gateways"][0], endpoint)


@contextlib.contextmanager
def _process(name: str, certificate: Certificate, deflate: bool) -> Iterator[PeerServer]:
    python = sys.executable if name == BARE else str(PEERS)
    if not Path(python).exists():
        raise CommandError(f"{name} is not installed: make peers")
    module, *arguments = PROCESSES[name]
    settings = ServerSettings(deflate, certificate.cert, certificate.key)
    with child_process([python, "-P", "-m", module, *arguments, *settings.arguments()]) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise CommandError(f"{name} did not start, and ended with status {process.wait()}")
        yield PeerServer(name, process.pid, PeerEndpoint(int(port), ca=certificate.ca, deflate=deflate))


def versions() -> dict[str, str]:
    """Versions of everything that is compared; of other projects' packages those that are installed."""
    ours = {"homing": version("homing"), "Python": platform.python_version(), "OpenSSL": ssl.OPENSSL_VERSION}
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PACKAGES!r}}}))"
    if not PEERS.exists():
        return ours
    done = subprocess.run([str(PEERS), "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return {**ours, **json.loads(done.stdout)}
