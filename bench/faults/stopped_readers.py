"""Clients that stop reading for a while, with small windows, and read on later."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import websockets

from bench.faults.world import World
from homing import Router

FILE = "stopped"
WINDOW = 32 * 1024  # bytes of a client's receive buffer
AT_ONCE = 20  # connects


class StoppedReader:
    """One client. It has received `pushes`; `reading` says whether it reads."""

    def __init__(self, connection: websockets.ClientConnection, session: int) -> None:
        self.session = session
        self.pushes: set[str] = set()
        self.reading = asyncio.Event()
        self.reading.set()
        self._connection = connection

    async def run(self) -> None:
        """Receive until the connection ends."""
        with suppress(websockets.ConnectionClosed):
            while True:
                await self.reading.wait()
                message = msgspec.json.decode(await self._connection.recv())
                if message["type"] == "event":
                    self.pushes.add(message["push"])


class StoppedReaders:
    """All of them, and pushes to all of them."""

    def __init__(self, world: World, router: Router) -> None:
        self._world = world
        self._router = router
        self._stack = AsyncExitStack()
        self._number = 0
        self.readers: list[StoppedReader] = []
        self.accepted: list[tuple[str, int]] = []  # push and session, which the gateway has taken: all must arrive
        self.refused: list[tuple[str, int]] = []  # reported as not written: none may arrive

    async def open(self, count: int) -> None:
        """Connect so many, spread over the gateways."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def connect(number: int) -> None:
            async with slots:
                await self._connect(number)

        await asyncio.gather(*(connect(number) for number in range(count)))

    async def _connect(self, number: int) -> None:
        rig = self._world.rig
        urls = list(rig.addresses.urls.values())
        url = urls[number % len(urls)]
        connection = await self._stack.enter_async_context(
            websockets.connect(
                f"{url}?file={FILE}",
                sock=await _small_socket(url),
                ssl=rig.addresses.tls,
                subprotocols=[websockets.Subprotocol("homing.json")],
                additional_headers={"Authorization": f"Bearer {rig.cluster.token(f'stopped-{number}', FILE)}"},
                compression=None,
                ping_interval=None,
                max_queue=1,
            )
        )
        reader = StoppedReader(connection, int(msgspec.json.decode(await connection.recv())["session"]))
        self.readers.append(reader)
        running = asyncio.create_task(reader.run())
        self._stack.callback(running.cancel)

    async def push(self, size: int) -> dict[str, int]:
        """One push of so many bytes to all of them; the outcomes."""
        self._number += 1
        push_id = f"stopped-{self._number}"
        report = await self._router.push(
            event="e", data="x" * size, push_id=push_id, file=FILE, ttl=60, max_deliveries=1000
        )
        counted: dict[str, int] = {}
        for one in report.deliveries:
            outcome = str(one.outcome)
            counted[outcome] = counted.get(outcome, 0) + 1
            taken = self.accepted if outcome in ("WRITTEN", "QUEUED") else self.refused
            taken.append((push_id, one.session))
        return counted

    def read(self, on: bool) -> None:
        """Let all read, or none."""
        for reader in self.readers:
            reader.reading.set() if on else reader.reading.clear()

    async def wait_received(self, within: float) -> list[tuple[str, int]]:
        """Wait until everything that was accepted has arrived; what has not in time."""
        for _ in range(int(within / 0.05)):
            missing = self.missing()
            if not missing:
                break
            await asyncio.sleep(0.05)
        return self.missing()

    def missing(self) -> list[tuple[str, int]]:
        """What was accepted and has not arrived."""
        return [one for one in self.accepted if not self._has(one)]

    def wrongly_received(self) -> list[tuple[str, int]]:
        """What has arrived, though it was reported as not written."""
        return [one for one in self.refused if self._has(one)]

    def _has(self, delivery: tuple[str, int]) -> bool:
        push_id, session = delivery
        return any(push_id in reader.pushes for reader in self.readers if reader.session == session)

    async def close(self) -> None:
        """End all."""
        await self._stack.aclose()


async def _small_socket(url: str) -> socket.socket:
    found = urlsplit(url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (found.hostname, found.port))
    return sock


def resident(pids: Sequence[int]) -> float:
    """Bytes of memory that these processes have together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            total += int(file.read().split()[1]) * 4096
    return float(total)


Windows = list[tuple[float, float]]
"""Begins and ends, monotonic seconds."""


def as_facts(name: str, windows: Windows) -> dict[str, Any]:
    """Windows as an experiment's figures."""
    return {
        f"{name}_{number}_{edge}": value
        for number, pair in enumerate(windows)
        for edge, value in zip(("begin", "end"), pair, strict=True)
    }


def windows_of(name: str, facts: dict[str, float]) -> Windows:
    """The windows in these figures."""
    count = sum(key.startswith(f"{name}_") and key.endswith("_begin") for key in facts)
    return [(facts[f"{name}_{number}_begin"], facts[f"{name}_{number}_end"]) for number in range(count)]
