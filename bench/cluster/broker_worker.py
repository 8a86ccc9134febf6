"""A producer's or a consumer's process: `python -m bench.cluster.broker_worker`.

The first line says which: `{"role": "produce" or "consume", "broker": ..., "address": ..., "channel": ..., "counter":
FILE, "size": BYTES, "rate": a second or 0, "seconds": ...}`. It answers `{}` when it is ready, begins at any line, and
answers with what it has counted: the producer when its seconds are over, the consumer when it has got as many as the
next line says. A message begins with its number and the moment at which it was due, microseconds on the machine's
clock.

As fast as it goes means: as fast as it is received. The consumer writes its count into a shared file, and the producer
keeps a bounded number ahead of it, since pub/sub has no back-pressure of its own and drops who falls behind.
"""

import asyncio
import json
import mmap
import os
import struct
import sys
import time
from typing import Any

from bench.cluster.brokerlinks import CONSUMERS, PRODUCERS
from bench.cluster.load import histogram, loops
from bench.cluster.load.firstline import first_line
from bench.cluster.load.ticks import Ticks

HEAD = struct.Struct(">QQ")
AHEAD = 2_000  # messages sent and not received
AHEAD_BYTES = 4_000_000
BATCH_BYTES = 256_000
BATCH = 200  # messages of one call
LINGER = 5.0  # seconds without a message, and the rest is lost


class Counter:
    """A number in a file that two processes have mapped."""

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(fd, 8)
        os.close(fd)

    @property
    def value(self) -> int:
        """As the other process has it."""
        return int.from_bytes(self._map[:8], "big")

    @value.setter
    def value(self, number: int) -> None:
        self._map[:8] = number.to_bytes(8, "big")


def now_us() -> int:
    """The machine's monotonic clock."""
    return time.monotonic_ns() // 1000


async def next_line() -> dict[str, Any]:
    """The parent's next command; nothing at the end of stdin."""
    line = await asyncio.to_thread(sys.stdin.readline)
    told: dict[str, Any] = json.loads(line or "{}")
    return told


async def produce(told: dict[str, Any]) -> None:
    """Send until the seconds are over."""
    link = PRODUCERS[told["broker"]](told["address"], told["channel"])
    counter, pad = Counter(told["counter"]), b"x" * (told["size"] - HEAD.size)
    await link.open()
    print("{}", flush=True)
    await next_line()
    began = time.monotonic()
    until, sent = began + told["seconds"], 0
    if told["rate"]:
        sent = await _paced(link, pad, told["rate"], int(told["rate"] * told["seconds"]))
    while not told["rate"] and time.monotonic() < until:
        room = min(AHEAD, max(2, AHEAD_BYTES // told["size"])) - (sent - counter.value)
        number = min(room, BATCH, max(1, BATCH_BYTES // told["size"]))
        if number <= 0:
            await asyncio.sleep(0.001)
            continue
        await link.send([HEAD.pack(sent + n, now_us()) + pad for n in range(number)])
        sent += number
    print(json.dumps({"sent": sent, "seconds": time.monotonic() - began}), flush=True)
    await next_line()
    await link.close()


async def _paced(link: Any, pad: bytes, rate: float, number: int) -> int:  # noqa: ANN401
    """Open loop: what is due while the broker takes the last ones leaves together, and counts from when it was due."""
    began, sent = now_us(), 0
    tick = asyncio.Event()
    ticks = Ticks(1 / rate, tick.set)
    try:
        while sent < number:
            await tick.wait()
            tick.clear()
            due = min(number, int((now_us() - began) * rate / 1e6) + 1)
            if due > sent:
                await link.send([HEAD.pack(n, began + int(n * 1e6 / rate)) + pad for n in range(sent, due)])
                sent = due
    finally:
        ticks.close()
    return sent


async def consume(told: dict[str, Any]) -> None:
    """Receive until as many are there as were sent."""
    link = CONSUMERS[told["broker"]](told["address"], told["channel"])
    counter, latencies = Counter(told["counter"]), histogram.empty()
    await link.open()
    print("{}", flush=True)
    await next_line()
    ending = asyncio.ensure_future(next_line())
    got, expected, last, began = 0, -1, time.monotonic(), time.monotonic()
    while got != expected and (expected < 0 or time.monotonic() - last < LINGER):
        messages = await link.receive()
        if messages:
            now = last = time.monotonic()
            for message in messages:
                latencies[histogram.bucket(int(now * 1e6) - HEAD.unpack_from(message)[1])] += 1
            got += len(messages)
            counter.value = got
        if ending.done() and expected < 0:
            expected = int(ending.result().get("expected", got))
    spent = last - began
    print(json.dumps({"got": got, "seconds": spent, "latencies": histogram.trimmed(latencies)}), flush=True)
    await link.close()


def main() -> None:
    """The process."""
    told = first_line()
    loops.run(produce(told) if told["role"] == "produce" else consume(told))


if __name__ == "__main__":
    main()
