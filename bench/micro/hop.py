"""The cost of the hop's transport: CPU and latency of a push and its answer, by candidate and rate, in one run.

    python -m bench.micro.hop [--json] [--seconds 2.5] [--rates 500,2000,8000,30000] [--only grpc_wire,grpclib]

Open loop: a kernel timer decides when each push is due, and its latency counts from then. Each candidate has a client
and a server process for the whole run; each process measures its own CPU, and the server reports its CPU only before
and after a row. A row is invalid when the generator sent pushes late; `generator alone` is the generator's own cost.
"""

import argparse
import asyncio
import ctypes
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import uvloop

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # grpcio would log every normal end of a stream

from bench.micro.hop_transports import CANDIDATES, MessageBatcher
from homing.internal.v1 import node_pb2

DATA = b"x" * 200
WARM_UP = 0.5  # seconds
MAX_LATE_P99 = 0.010  # seconds; with a later p99 of the generator a row is invalid
MAX_OPEN_CALLS = 8192  # as in a hop
DRAIN_TIMEOUT = 2.0  # seconds


class TimerFd:
    """A timerfd: periods of some ten microseconds, where a loop's timers are rounded to a millisecond."""

    def __init__(self, period: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.timerfd_create(1, os.O_NONBLOCK)  # CLOCK_MONOTONIC
        interval = (int(period), int(period % 1 * 1e9))
        libc.timerfd_settime(self.fd, 0, (ctypes.c_long * 4)(*interval, *interval), None)

    def read(self) -> None:
        os.read(self.fd, 8)

    def close(self) -> None:
        os.close(self.fd)


class HopLoad:
    """Pushes at a rate over one transport, and their figures."""

    def __init__(self) -> None:
        self.batcher: MessageBatcher
        self._due: dict[int, float] = {}  # open calls
        self._last_call = 0
        self.lost = 0
        self.reset()

    def reset(self) -> None:
        """Empty the figures."""
        self.latencies: list[float] = []
        self.delays: list[float] = []  # of the generator: from due to sent
        self.refused = 0

    def on_answers(self, message: node_pb2.NodeMessage) -> None:
        """Record the latencies of answered pushes."""
        now = time.perf_counter()
        for answer in message.pushes:
            due = self._due.pop(answer.call, None)
            if due is not None:
                self.latencies.append(now - due)

    def push(self, due: float, now: float) -> None:
        """Send a push, or refuse it when too many calls are open."""
        self.delays.append(now - due)
        if len(self._due) >= MAX_OPEN_CALLS:
            self.refused += 1
            return
        self._last_call += 1
        self._due[self._last_call] = due
        push = node_pb2.Push(call=self._last_call, epoch=7, event="doc.changed", data=DATA, push_id="p-1", ttl_ms=30000)
        push.receivers.sessions.sids.append(1 << 60)
        self.batcher.add(push)

    async def run(self, rate: float, seconds: float) -> None:
        """Push at this rate for so many seconds."""
        loop = asyncio.get_running_loop()
        due = time.perf_counter() + 0.01
        end = due + seconds
        finished = loop.create_future()
        timer = TimerFd(1 / rate)

        def on_tick() -> None:
            nonlocal due
            timer.read()
            now = time.perf_counter()
            while due <= now and due < end:
                self.push(due, now)
                due += 1 / rate
            if due >= end and not finished.done():
                finished.set_result(None)

        loop.add_reader(timer.fd, on_tick)
        await finished
        loop.remove_reader(timer.fd)
        timer.close()

    async def drain(self) -> None:
        """Wait until every push is answered, or the timeout; pushes still open count as lost."""
        deadline = time.perf_counter() + DRAIN_TIMEOUT
        while self._due and time.perf_counter() < deadline:
            await asyncio.sleep(0.001)  # polling: an event would add to the cost of each answer
        self.lost = len(self._due)
        self._due.clear()


async def serve(name: str, port_pipe: Connection, cpu_pipe: Connection) -> None:
    """The server process: answers pushes, and sends its CPU seconds for every True that it receives."""
    candidate = CANDIDATES[name]()
    port_pipe.send(await candidate.serve())
    stopped = asyncio.Event()

    def on_request() -> None:
        if cpu_pipe.recv():
            cpu_pipe.send(time.process_time())
        else:
            stopped.set()

    asyncio.get_running_loop().add_reader(cpu_pipe.fileno(), on_request)
    await stopped.wait()
    await candidate.close()


async def run_rows(name: str, port: int, server: Connection, commands: Connection) -> None:
    """The client process: measures a row per command (rate, seconds), until None."""
    load = HopLoad()
    load.batcher = await CANDIDATES[name]().connect(port, load.on_answers)
    while (command := commands.recv()) is not None:  # blocking: the loop has no other work between rows
        commands.send(await measure(name, load, server, *command))
    server.send(False)


async def measure(name: str, load: HopLoad, server: Connection, rate: float, seconds: float) -> dict[str, Any]:
    """One row."""
    await load.run(rate, WARM_UP)
    await load.drain()
    load.reset()
    messages_before = load.batcher.messages
    server.send(True)
    server_before, client_before = server.recv(), time.process_time()
    await load.run(rate, seconds)
    await load.drain()
    client_cpu = time.process_time() - client_before
    server.send(True)
    server_cpu = server.recv() - server_before
    sent = len(load.delays)
    latencies = sorted(load.latencies) or [float("inf")]
    late_p99 = sorted(load.delays)[int(sent * 0.99)]
    return {
        "candidate": name,
        "rate": rate,
        "client_us": client_cpu / sent * 1e6,
        "server_us": server_cpu / sent * 1e6,
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "pushes_per_message": sent / max(load.batcher.messages - messages_before, 1),
        "refused": load.refused,
        "lost": load.lost,
        "late_p99_ms": late_p99 * 1e3,
        "valid": late_p99 <= MAX_LATE_P99 and not load.refused and not load.lost,
    }


def run_server(name: str, port_pipe: Connection, cpu_pipe: Connection) -> None:
    """The server process's main."""
    uvloop.run(serve(name, port_pipe, cpu_pipe))


def run_client(name: str, port: int, server: Connection, commands: Connection) -> None:
    """The client process's main."""
    uvloop.run(run_rows(name, port, server, commands))


def start(name: str) -> tuple[Connection, list[Any]]:
    """Start a candidate's two processes. Returns the client's pipe (commands in, rows out), and the processes."""
    context = multiprocessing.get_context("spawn")
    port_pipe, server_port_pipe = context.Pipe()
    server_cpu_pipe, client_cpu_pipe = context.Pipe()
    server = context.Process(target=run_server, args=(name, server_port_pipe, server_cpu_pipe), daemon=True)
    server.start()
    port = port_pipe.recv()
    commands, client_commands = context.Pipe()
    client = context.Process(target=run_client, args=(name, port, client_cpu_pipe, client_commands), daemon=True)
    client.start()
    return commands, [server, client]


def format_row(row: dict[str, Any]) -> str:
    """A row as a line of the table."""
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
    candidates = {name: start(name) for name in arguments.only.split(",")}
    if not arguments.json:
        print(f"{'rate':>7}  {'':<16}{'client':>8}{'server':>8}{'p50':>9}{'p99':>9}{'pushes/':>9}")
        print(f"{'/s':>7}  {'':<16}{'us/push':>8}{'us/push':>8}{'ms':>9}{'ms':>9}{'message':>9}")
    rows = []
    for rate in map(float, arguments.rates.split(",")):
        for commands, _ in candidates.values():
            commands.send((rate, arguments.seconds))
            rows.append(commands.recv())
            if not arguments.json:
                print(format_row(rows[-1]), flush=True)
    for commands, processes in candidates.values():
        commands.send(None)
        for process in processes:
            process.join(5)
            process.kill()
    if arguments.json:
        print(json.dumps({"load_average": os.getloadavg(), "python": sys.version.split()[0], "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
