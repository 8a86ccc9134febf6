"""What a connection costs a whole gateway: CPU per connect, memory idle, and memory after one message of the size limit
each way.

    python bench/connections.py [--clients 2000] [--json]

It starts a cluster of its own with `homing up --gateways 1`, opens plain WebSocket clients from this process, and reads
the gateway's own CPU time and RSS from /proc. CPU per connect is everything the gateway did between the first SYN and
the last `hello`: token, admission, registration in etcd, the routers' acknowledgement, the Connect event to Redis. The
same for etcd and the router is printed beside it.
"""

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc.aio
import uvloop

from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

HZ = os.sysconf("SC_CLK_TCK")
LARGEST = 65_536
SETTLE = 10.0  # seconds between the messages and the second look at memory
AT_ONCE = 50  # connects under way


def cpu(pid: int) -> float:
    """Seconds of CPU, user and system, that this process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def rss(pid: int) -> int:
    """Bytes of memory that this process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def handshake(url: str, token: str) -> bytes:
    """A browser's head, more or less."""
    where = urlsplit(url)
    lines = [
        *(f"GET {where.path}?file=bench HTTP/1.1", f"Host: {where.netloc}", "Upgrade: websocket"),
        *("Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: homing.json"),
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
        *("Accept-Encoding: gzip, deflate, br", "Accept-Language: en-US,en;q=0.9", "Cache-Control: no-cache"),
        f"Authorization: Bearer {token}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def large_message() -> bytes:
    """A masked text frame whose message is exactly as large as the gateway allows."""
    head = b'{"type":"event","event":"large","data":"'
    payload = head + b"x" * (LARGEST - len(head) - 2) + b'"}'
    return b"\x81\xff" + len(payload).to_bytes(8, "big") + b"\x00\x00\x00\x00" + payload  # a mask of zeros


class Client(asyncio.Protocol):
    """Counts what comes; never looks inside."""

    __slots__ = ("got", "transport", "until", "waiting")

    def __init__(self) -> None:
        self.got = 0
        self.until = 0
        self.waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += len(data)
        if self.waiting is not None and (self.got >= self.until if self.until else b'"hello"' in data):
            self.waiting.set_result(None)
            self.waiting = None

    def send(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]

    async def wait(self, more: int = 0) -> None:
        """Until so many more bytes have come; 0: until `hello`."""
        self.until = self.got + more if more else 0
        self.waiting = asyncio.get_running_loop().create_future()
        await self.waiting


class Bench:
    """One run against one cluster."""

    def __init__(self, cluster: dict[str, Any], run_dir: Path, clients: int) -> None:
        self.gateway = cluster["gateways"][0]
        self.router = cluster["routers"][0]
        self.pids = {"gateway": self.gateway["pid"], "router": self.router["pid"], "etcd": cluster["servers"]["etcd"]}
        self.number = clients
        self.clients: list[Client] = []
        self.token = self._token(run_dir)

    @staticmethod
    def _token(run_dir: Path) -> str:
        command = ["homing", "token", "--user", "bench", "--file", "bench", "--run-dir", str(run_dir)]
        return subprocess.run(
            [sys.executable, "-m", *command], check=True, capture_output=True, text=True
        ).stdout.strip()

    def used(self) -> dict[str, float]:
        return {name: cpu(pid) for name, pid in self.pids.items()}

    async def connect_all(self) -> None:
        head = handshake(self.gateway["url"], self.token)
        where = urlsplit(self.gateway["url"])
        turns = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with turns:
                loop = asyncio.get_running_loop()
                _, client = await loop.create_connection(Client, where.hostname, where.port)
                self.clients.append(client)
                client.send(head)
                await client.wait()

        await asyncio.gather(*(one() for _ in range(self.number)))

    async def exchange_large(self) -> None:
        """Each client sends one message of the size limit and receives one."""
        message = large_message()
        for start in range(0, len(self.clients), AT_ONCE):
            for client in self.clients[start : start + AT_ONCE]:
                client.send(message)
            await asyncio.sleep(0.05)
        async with grpc.aio.insecure_channel(self.router["grpc"]) as channel:
            request = pb.PushRequest(
                target=pb.Target(file="bench"), event="large", data=b'"' + b"x" * (LARGEST - 2) + b'"', max_deliveries=0
            )
            waiting = [asyncio.ensure_future(client.wait(LARGEST)) for client in self.clients]
            response = await router_pb2_grpc.RouterStub(channel).Push(request)  # type: ignore[no-untyped-call]
            assert sum(response.report.counts.values()) == self.number, response.report.counts
            await asyncio.gather(*waiting)

    async def run(self) -> dict[str, Any]:
        await asyncio.sleep(1)
        base, before, began = rss(self.pids["gateway"]), self.used(), time.monotonic()
        await self.connect_all()
        took, after = time.monotonic() - began, self.used()
        await asyncio.sleep(2)
        idle = rss(self.pids["gateway"])
        await self.exchange_large()
        await asyncio.sleep(SETTLE)
        later = rss(self.pids["gateway"])
        return {
            "clients": self.number,
            "connects_per_s": round(self.number / took),
            "cpu_us_per_connect": {name: round((after[name] - before[name]) / self.number * 1e6) for name in self.pids},
            "idle_kb": round((idle - base) / self.number / 1024, 2),
            "after_large_kb": round((later - base) / self.number / 1024, 2),
        }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clients", type=int, default=2000)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "homing", "up", "--gateways", "1", "--run-dir", str(run_dir), "--json"]
        up = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert up.stdout is not None
        try:
            cluster = json.loads(up.stdout.readline())
            found = uvloop.run(Bench(cluster, run_dir, chosen.clients).run())
        finally:
            up.terminate()
            up.wait()
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"{found['clients']} connections, {found['connects_per_s']} connects/s")
    for name, used in found["cpu_us_per_connect"].items():
        print(f"  CPU per connect, {name}: {used} us")
    print(f"  gateway RSS a connection: {found['idle_kb']} KB idle, {found['after_large_kb']} KB after traffic")


if __name__ == "__main__":
    main()
