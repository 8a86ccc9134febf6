"""A worker process that is a producer or a consumer: `python -m bench.cluster.broker_worker`.

The first line of stdin has the settings: `{"role": "produce" or "consume", "broker": ..., "address": ..., "channel":
..., "counter": FILE, "size": BYTES, "rate": a second or 0, "seconds": ...}`. The worker answers `{}` when it is ready,
starts at the next line, and prints its counts: a producer after its seconds, a consumer when it has received as many
messages as the line after that has in `expected`. A message starts with its number and the time at which it was due,
microseconds on the machine's clock.

Rate 0 is a closed loop: the consumer writes its count to a shared file, and the producer stays a bounded number of
messages ahead, because pub/sub has no back-pressure and drops slow consumers.
"""

import asyncio
import json
import mmap
import os
import struct
import sys
import time
from typing import Any

from bench.cluster.broker_clients import CONSUMERS, PRODUCERS, Producer
from bench.cluster.load import event_loop, histogram
from bench.cluster.load.periodic_timer import PeriodicTimer
from bench.cluster.load.worker_settings import read_settings

HEAD = struct.Struct(">QQ")  # number, due time
MAX_OUTSTANDING = 2_000  # messages sent and not received
MAX_OUTSTANDING_BYTES = 4_000_000
BATCH_BYTES = 256_000
BATCH_MESSAGES = 200
IDLE_TIMEOUT = 5.0  # seconds without a message after which the rest counts as lost


class SharedCounter:
    """A number in a file that two processes have mapped."""

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(fd, 8)
        os.close(fd)

    @property
    def value(self) -> int:
        """The current number."""
        return int.from_bytes(self._map[:8], "big")

    @value.setter
    def value(self, number: int) -> None:
        self._map[:8] = number.to_bytes(8, "big")


def now_us() -> int:
    """The machine's monotonic clock."""
    return time.monotonic_ns() // 1000


async def next_command() -> dict[str, Any]:
    """The parent's next line; {} at the end of stdin."""
    line = await asyncio.to_thread(sys.stdin.readline)
    command: dict[str, Any] = json.loads(line or "{}")
    return command


async def produce(settings: dict[str, Any]) -> None:
    """Send messages until the seconds are over."""
    producer = PRODUCERS[settings["broker"]](settings["address"], settings["channel"])
    counter, padding = SharedCounter(settings["counter"]), b"x" * (settings["size"] - HEAD.size)
    await producer.open()
    print("{}", flush=True)
    await next_command()
    started_at = time.monotonic()
    if settings["rate"]:
        total = int(settings["rate"] * settings["seconds"])
        sent = await _send_at_rate(producer, padding, settings["rate"], total)
    else:
        sent = await _send_closed_loop(producer, padding, settings["size"], counter, started_at + settings["seconds"])
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - started_at}), flush=True)
    await next_command()
    await producer.close()


async def _send_closed_loop(
    producer: Producer, padding: bytes, size: int, counter: SharedCounter, deadline: float
) -> int:
    """Send as fast as the consumer receives, until the deadline."""
    sent = 0
    while time.monotonic() < deadline:
        room = min(MAX_OUTSTANDING, max(2, MAX_OUTSTANDING_BYTES // size)) - (sent - counter.value)
        number = min(room, BATCH_MESSAGES, max(1, BATCH_BYTES // size))
        if number <= 0:
            await asyncio.sleep(0.001)
            continue
        await producer.send([HEAD.pack(sent + n, now_us()) + padding for n in range(number)])
        sent += number
    return sent


async def _send_at_rate(producer: Producer, padding: bytes, rate: float, total: int) -> int:
    """Open loop: messages that become due during a send leave in the next one, and count from their due time."""
    started_at, sent = now_us(), 0
    tick = asyncio.Event()
    timer = PeriodicTimer(1 / rate, tick.set)
    try:
        while sent < total:
            await tick.wait()
            tick.clear()
            due = min(total, int((now_us() - started_at) * rate / 1e6) + 1)
            if due > sent:
                messages = [HEAD.pack(n, started_at + int(n * 1e6 / rate)) + padding for n in range(sent, due)]
                await producer.send(messages)
                sent = due
    finally:
        timer.close()
    return sent


async def consume(settings: dict[str, Any]) -> None:
    """Receive messages until all that were sent have arrived."""
    consumer = CONSUMERS[settings["broker"]](settings["address"], settings["channel"])
    counter, latencies = SharedCounter(settings["counter"]), histogram.empty()
    await consumer.open()
    print("{}", flush=True)
    await next_command()
    last_command = asyncio.ensure_future(next_command())
    received, expected = 0, -1
    last_at = started_at = time.monotonic()
    while received != expected and (expected < 0 or time.monotonic() - last_at < IDLE_TIMEOUT):
        messages = await consumer.receive()
        if messages:
            now = last_at = time.monotonic()
            for message in messages:
                latencies[histogram.bucket(int(now * 1e6) - HEAD.unpack_from(message)[1])] += 1
            received += len(messages)
            counter.value = received
        if last_command.done() and expected < 0:
            expected = int(last_command.result().get("expected", received))
    counts = {"received": received, "seconds": last_at - started_at, "latencies": histogram.trimmed(latencies)}
    print(json.dumps(counts), flush=True)
    await consumer.close()


def main() -> None:
    """Run the worker."""
    settings = read_settings()
    event_loop.run(produce(settings) if settings["role"] == "produce" else consume(settings))


if __name__ == "__main__":
    main()
