"""What the hop's transport costs: CPU and latency of a push and its answer, per candidate and rate, in one run.

    python bench/hop.py [--json] [--seconds 2.5] [--rates 500,2000,8000,30000] [--only streams,grpclib]

Open loop: a timer of the kernel says when each push is due, and latency counts from then. Each candidate has a client
and a server process, alive through the whole run; each counts its own CPU, and the server tells its count at the edges
of a row only. A row is invalid when the generator handed pushes over late; `generator alone` is what it costs itself.
"""

import argparse
import asyncio
import ctypes
import json
import multiprocessing as mp
import os
import sys
import time
from multiprocessing.connection import Http2Connection as Pipe
from typing import Any

import uvloop

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # a goodbye is no news

from bench.micro.hop_transports import CANDIDATES, Gather
from homing.internal.v1 import node_pb2

DATA = b"x" * 200
WARM_UP = 0.5  # seconds
LATE = 0.010  # seconds: a row whose generator's p99 is later is no measurement
OPEN = 8192  # calls a hop carries at a time


class Ticks:
    """A timerfd, since a loop's timers know only whole milliseconds."""

    def __init__(self, period: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.timerfd_create(1, os.O_NONBLOCK)  # CLOCK_MONOTONIC
        every = (int(period), int(period % 1 * 1e9))
        libc.timerfd_settime(self.fd, 0, (ctypes.c_long * 4)(*every, *every), None)

    def read(self) -> None:
        os.read(self.fd, 8)

    def close(self) -> None:
        os.close(self.fd)


class Load:
    """Pushes at one rate over one transport, and what came of them."""

    def __init__(self) -> None:
        self.gather: Gather
        self._due: dict[int, float] = {}
        self._calls = 0
        self.begin()

    def begin(self) -> None:
        """Count from here."""
        self.latencies: list[float] = []
        self.lateness: list[float] = []
        self.refused = 0

    def answered(self, message: node_pb2.NodeMessage) -> None:
        now = time.perf_counter()
        for answer in message.pushes:
            due = self._due.pop(answer.call, None)
            if due is not None:
                self.latencies.append(now - due)

    def push(self, due: float, now: float) -> None:
        self.lateness.append(now - due)
        if len(self._due) >= OPEN:
            self.refused += 1
            return
        self._calls += 1
        self._due[self._calls] = due
        push = node_pb2.Push(call=self._calls, epoch=7, event="doc.changed", data=DATA, push_id="p-1", ttl_ms=30000)
        push.receivers.sessions.sids.append(1 << 60)
        self.gather.add(push)

    async def run(self, rate: float, seconds: float) -> None:
        """Push for so long."""
        loop = asyncio.get_running_loop()
        due = time.perf_counter() + 0.01
        end = due + seconds
        done = loop.create_future()
        ticks = Ticks(1 / rate)

        def tick() -> None:
            nonlocal due
            ticks.read()
            now = time.perf_counter()
            while due <= now and due < end:
                self.push(due, now)
                due += 1 / rate
            if due >= end and not done.done():
                done.set_result(None)

        loop.add_reader(ticks.fd, tick)
        await done
        loop.remove_reader(ticks.fd)
        ticks.close()

    async def drained(self) -> None:
        """Until all is answered, or 2 s have passed; what is then open counts as lost."""
        until = time.perf_counter() + 2
        while self._due and time.perf_counter() < until:
            await asyncio.sleep(0.001)  # an event would cost each answer something
        self.lost = len(self._due)
        self._due.clear()


async def serve(name: str, port: Pipe, pipe: Pipe) -> None:
    """The server process: answers pushes, and its CPU seconds when asked."""
    candidate = CANDIDATES[name]()
    port.send(await candidate.serve())
    done = asyncio.Event()

    def asked() -> None:
        if pipe.recv():
            pipe.send(time.process_time())
        else:
            done.set()

    asyncio.get_running_loop().add_reader(pipe.fileno(), asked)
    await done.wait()
    await candidate.close()


async def drive(name: str, port: int, server: Pipe, orders: Pipe) -> None:
    """The client process: one row for each order."""
    load = Load()
    load.gather = await CANDIDATES[name]().connect(port, load.answered)
    while (order := orders.recv()) is not None:  # nothing else is to be done meanwhile
        orders.send(await measure(name, load, server, *order))
    server.send(False)


async def measure(name: str, load: Load, server: Pipe, rate: float, seconds: float) -> dict[str, Any]:
    """One row."""
    await load.run(rate, WARM_UP)
    await load.drained()
    load.begin()
    messages = load.gather.messages
    server.send(True)
    far, near = server.recv(), time.process_time()
    await load.run(rate, seconds)
    await load.drained()
    near = time.process_time() - near
    server.send(True)
    far = server.recv() - far
    sent = len(load.lateness)
    ordered, late = sorted(load.latencies) or [float("inf")], sorted(load.lateness)[int(sent * 0.99)]
    return {
        "candidate": name,
        "rate": rate,
        "client_us": near / sent * 1e6,
        "server_us": far / sent * 1e6,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "pushes_per_message": sent / max(load.gather.messages - messages, 1),
        "refused": load.refused,
        "lost": load.lost,
        "late_p99_ms": late * 1e3,
        "valid": late <= LATE and not load.refused and not load.lost,
    }


def run_server(name: str, port: Pipe, pipe: Pipe) -> None:
    """The server process."""
    uvloop.run(serve(name, port, pipe))


def run_client(name: str, port: int, server: Pipe, orders: Pipe) -> None:
    """The client process."""
    uvloop.run(drive(name, port, server, orders))


def start(name: str) -> tuple[Pipe, list[Any]]:
    """A pair of processes; the pipe takes orders and gives rows."""
    context = mp.get_context("spawn")
    port_here, port_there = context.Pipe()
    at_server, at_client = context.Pipe()
    server = context.Process(target=run_server, args=(name, port_there, at_server), daemon=True)
    server.start()
    port = port_here.recv()
    here, there = context.Pipe()
    client = context.Process(target=run_client, args=(name, port, at_client, there), daemon=True)
    client.start()
    return here, [server, client]


def line(row: dict[str, Any]) -> str:
    """A row in words."""
    text = (
        f"{row['rate']:>7.0f}  {row['candidate']:<16}{row['client_us']:>8.1f}{row['server_us']:>8.1f}"
        f"{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{row['pushes_per_message']:>9.1f}"
    )
    if row["valid"]:
        return text
    return f"{text}  invalid: {row['refused']} refused, {row['lost']} lost, {row['late_p99_ms']:.0f} ms late (p99)"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--rates", default="500,2000,8000,30000")
    parser.add_argument("--only", default=",".join(CANDIDATES))
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    pairs = {name: start(name) for name in names}
    if not arguments.json:
        print(f"{'rate':>7}  {'':<16}{'client':>8}{'server':>8}{'p50':>9}{'p99':>9}{'pushes/':>9}")
        print(f"{'/s':>7}  {'':<16}{'us/push':>8}{'us/push':>8}{'ms':>9}{'ms':>9}{'message':>9}")
    rows = []
    for rate in map(float, arguments.rates.split(",")):
        for orders, _ in pairs.values():
            orders.send((rate, arguments.seconds))
            rows.append(orders.recv())
            if not arguments.json:
                print(line(rows[-1]), flush=True)
    for orders, processes in pairs.values():
        orders.send(None)
        for process in processes:
            process.join(5)
            process.kill()
    if arguments.json:
        print(json.dumps({"load_average": os.getloadavg(), "python": sys.version.split()[0], "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
