"""What TLS in the process costs, by the way it is done.

    python -m bench.micro.tls [--connections N] [--size BYTES] [--deliveries N] [--json] [way ...]

Ways: `plain` no TLS; `gateway` the gateway's own transport (gateway/tls), `own-bios` the same with two memory BIOs for
each connection, `uvloop` that loop's own TLS, and `bare` a loop of `send()` on blocking sockets of the standard
library, the cheapest that Python can do. Each is a process of its own, and so are its clients. Figures of the server's
process:

* CPU a connect (TLS 1.3, ECDSA P-256), 50 at once, and one after the other with a full and with a resumed handshake:
  a wake-up for each message makes these dearer than those that come together;
* memory a connection, idle, and 10 s after it received and sent one message of the size;
* CPU a delivery of 200 bytes, one to each connection in turn, and its ratio to `bare`.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import socket
import ssl
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop

from bench.cluster.process_usage import rss_bytes
from bench.micro.tls_pair import write_pair
from gateway.tls.contexts import Certificates
from gateway.tls.records import TlsBuffers
from gateway.tls.settings import TlsSection
from gateway.tls.transport import TlsTransport

WAYS = ("plain", "gateway", "own-bios", "uvloop", "bare")
MESSAGE = b"m" * 200
AT_ONCE = 50  # connects
ONE_BY_ONE = 300  # connects one after the other
SETTLE_TIME = 10.0  # seconds


class LargeMessages(asyncio.Protocol):
    """Answers each whole message of `size` bytes with one of the same size."""

    __slots__ = ("_all", "_received", "_size", "_transport")

    def __init__(self, size: int, everyone: "list[asyncio.Transport]") -> None:
        self._size = size
        self._received = 0
        self._all = everyone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._all.append(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received >= self._size:
            self._received = 0
            self._transport.write(b"z" * self._size)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self._transport)


async def _listen(way: str, size: int, pair: tuple[str, str], everyone: list[asyncio.Transport]) -> int:
    loop, certificates = asyncio.get_running_loop(), Certificates(TlsSection(*pair))

    def through_tls() -> asyncio.BaseProtocol:
        buffers = TlsBuffers() if way == "own-bios" else certificates.buffers
        return TlsTransport(buffers, certificates.context, lambda _: LargeMessages(size, everyone), bytes, 30, set())

    factory = (lambda: LargeMessages(size, everyone)) if way in ("plain", "uvloop") else through_tls
    context = certificates.context if way == "uvloop" else None
    server = await loop.create_server(factory, "127.0.0.1", 0, backlog=4096, ssl=context)
    return int(server.sockets[0].getsockname()[1])


async def _serve(way: str, size: int, deliveries: int, pair: tuple[str, str], pipe: Connection) -> None:
    """One step for each request of the pipe."""
    everyone: list[asyncio.Transport] = []
    port = await _listen(way, size, pair, everyone)
    pipe.send(port)
    while True:
        request = await asyncio.to_thread(pipe.recv)
        if request == "usage":
            pipe.send((time.process_time(), rss_bytes(multiprocessing.current_process().pid or 0)))
        elif request == "deliver":
            began = time.process_time()
            for number in range(deliveries):
                everyone[number % len(everyone)].write(MESSAGE)
                if number % 256 == 255:
                    await asyncio.sleep(0)
            pipe.send((time.process_time() - began) / deliveries)
        else:
            return


def _serve_bare(size: int, deliveries: int, pair: tuple[str, str], pipe: Connection) -> None:
    """The same with blocking sockets; a thread accepts."""
    context = Certificates(TlsSection(*pair)).context
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    everyone: list[ssl.SSLSocket] = []

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            with_tls = context.wrap_socket(connection, server_side=True)
            everyone.append(with_tls)

    threading.Thread(target=accept, daemon=True).start()
    pipe.send(listener.getsockname()[1])
    while (request := pipe.recv()) != "end":
        if request == "usage":
            pipe.send((time.process_time(), rss_bytes(multiprocessing.current_process().pid or 0)))
        else:
            began = time.process_time()
            for number in range(deliveries):
                everyone[number % len(everyone)].send(MESSAGE)
            pipe.send((time.process_time() - began) / deliveries)


def server(way: str, size: int, deliveries: int, pair: tuple[str, str], pipe: Connection) -> None:
    """The process of one way."""
    if way == "bare":
        _serve_bare(size, deliveries, pair, pipe)
    else:
        uvloop.run(_serve(way, size, deliveries, pair, pipe))


def clients(way: str, ca: str, count: int, size: int, pipe: Connection) -> None:
    """The process of its clients."""
    uvloop.run(_clients(way, ca, count, size, pipe))


async def _clients(way: str, ca: str, count: int, size: int, pipe: Connection) -> None:
    port = await asyncio.to_thread(pipe.recv)
    context = None if way == "plain" else ssl.create_default_context(cafile=ca)
    slots, opened = asyncio.Semaphore(AT_ONCE), []

    async def connect() -> None:
        async with slots:
            opened.append(await asyncio.open_connection("127.0.0.1", port, ssl=context))

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with slots:
            writer.write(b"x" * size)
            await reader.readexactly(size)

    async def drain(reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass

    await asyncio.gather(*(connect() for _ in range(count)))
    pipe.send("connected")
    await asyncio.to_thread(pipe.recv)
    if size:
        await asyncio.gather(*(exchange(*one) for one in opened))
    pipe.send("exchanged")
    draining = [asyncio.create_task(drain(reader)) for reader, _ in opened]
    await asyncio.to_thread(pipe.recv)
    for one in draining:
        one.cancel()


def connect_one_by_one(port: int, ca: str, count: int, resume: bool) -> int:
    """`count` handshakes one after the other; `resume`: each resumes the first one's session. Returns how many did."""
    context = ssl.create_default_context(cafile=ca)
    session, resumed = None, 0
    for _ in range(count):
        plain = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as connection:
            connection.settimeout(0.002)
            with contextlib.suppress(TimeoutError):
                connection.recv(1)  # the ticket comes behind the handshake
            resumed += bool(connection.session_reused)
            session = connection.session if session is None and resume else session
    return resumed


def measure(way: str, options: argparse.Namespace, pair: tuple[str, str], ca: str) -> dict[str, Any]:
    """The figures of one way."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    serving = spawn.Process(target=server, args=(way, options.size, options.deliveries, pair, theirs), daemon=True)
    serving.start()
    port = ours.recv()
    pipe, end = spawn.Pipe()
    size = 0 if way == "bare" else options.size
    calling = spawn.Process(target=clients, args=(way, ca, options.connections, size, end), daemon=True)
    calling.start()
    try:
        return _steps(way, options, ours, pipe, port, ca)
    finally:
        ours.send("end")
        for process in (calling, serving):
            process.kill()
            process.join()


def _steps(
    way: str, options: argparse.Namespace, serving: Connection, calling: Connection, port: int, ca: str
) -> dict[str, Any]:
    def usage() -> tuple[float, int]:
        serving.send("usage")
        found: tuple[float, int] = serving.recv()
        return found

    count, found = options.connections, {}
    before = usage()
    calling.send(port)
    calling.recv()
    connected = usage()
    found["connect_us"] = (connected[0] - before[0]) / count * 1e6
    found["idle_bytes"] = (connected[1] - before[1]) / count
    calling.send("exchange")
    calling.recv()
    if way != "bare":
        time.sleep(SETTLE_TIME)
        found["after_bytes"] = (usage()[1] - before[1]) / count
    for _ in range(2):  # the first round warms up
        serving.send("deliver")
        found["delivery_us"] = serving.recv() * 1e6
    if way not in ("plain", "bare"):
        for name, resume in (("full_us", False), ("resumed_us", True)):
            begun = usage()[0]
            found[f"{name[:-3]}_count"] = connect_one_by_one(port, ca, ONE_BY_ONE, resume)
            found[name] = (usage()[0] - begun) / ONE_BY_ONE * 1e6
    calling.send("end")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="way", default=list(WAYS))
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes of the large message")
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ca, pair = write_pair(Path(folder))
        results = {way: measure(way, options, pair, ca) for way in options.ways}
    if options.json:
        print(json.dumps({"connections": options.connections, "size": options.size, "ways": results}))
        return
    _show(results)


COLUMNS = ("connect_us", "full_us", "resumed_us", "idle_bytes", "after_bytes", "delivery_us")


def _show(results: dict[str, dict[str, Any]]) -> None:
    bare = results.get("bare", {}).get("delivery_us")
    print(f"{'way':<10}" + "".join(f"{name:>13}" for name in (*COLUMNS, "ratio")))
    for way, found in results.items():
        ratio = found["delivery_us"] / bare if bare else None
        cells = [*(found.get(name) for name in COLUMNS), ratio]
        shown = ["-" if cell is None else f"{cell:,.{0 if cell > 1000 else 2}f}" for cell in cells]
        print(f"{way:<10}" + "".join(f"{cell:>13}" for cell in shown))


if __name__ == "__main__":
    main()
