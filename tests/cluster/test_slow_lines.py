"""Slow but steady readers stay: 20 clients behind 64 kbit/s and an MSS of 1,460 (reliability, experiment 15).

`make faults-slow-lines` runs it.
"""

import asyncio
import json
import sys
import time
from typing import Any

import pytest

from tests.support.calls import push
from tests.support.cluster import Cluster, connect
from tests.support.slow_lines import SlowLines, missing

LINES = 20
KBIT = 64
BURST = 200  # pushes at once: the line needs 27 s for them, more than twice `[gateway.slow] stalled_s`
STEADY = 40.0  # seconds of pushes at half the line's rate, while the burst is still on its way
PAYLOAD = "x" * 1_000


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_experiment_15_slow_but_steady_readers_stay(cluster: Cluster) -> None:
    if reason := missing():
        pytest.skip(reason)
    gateway = await cluster.start_gateway("--listen", "0.0.0.0:0")
    await cluster.start_router()
    port = gateway.url.rsplit(":", 1)[1].partition("/")[0]
    token = cluster.token("reader", "f")
    with SlowLines(LINES, KBIT) as lines:
        clients = [(f"ws://{lines.host(line)}:{port}/ws", token, "f") for line in range(LINES)]
        arguments = [argument for client in clients for argument in client]
        command = lines.inside(sys.executable, "-m", "tests.support.slow_reader", *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(LINES):
            assert await process.stdout.readline() == b"joined\n"
        async with connect(cluster, gateway, "bystander", "b") as bystander:
            figures = await push_steadily(cluster, bystander)
        out, _ = await process.communicate()
    readers = [json.loads(line) for line in out.splitlines()]
    figures |= {"longest_silence_s": max(reader["silence"] for reader in readers)}
    print("\n" + json.dumps(figures))
    assert [reader["code"] for reader in readers] == [0] * LINES, "closed by the gateway"
    assert all(reader["numbers"] == list(range(figures["pushes"])) for reader in readers)
    assert set(figures["outcomes"]) <= {"WRITTEN", "QUEUED"}
    assert sum(figures["outcomes"].values()) == LINES * figures["pushes"]
    assert figures["bystander_max_ms"] < 1_000


async def push_steadily(cluster: Cluster, bystander: Any) -> dict[str, Any]:
    """A burst, then half the line's rate; each push is also one to the bystander, whose delay is measured."""
    outcomes: dict[str, int] = {}
    slowest, number = 0.0, 0
    router = cluster.router()
    began = time.monotonic()
    while time.monotonic() - began < STEADY:
        data = json.dumps({"n": number, "x": PAYLOAD}).encode()
        report = (await router.Push(push(file="f", data=data))).report
        for outcome, count in report.counts.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        number += 1
        sent = time.monotonic()
        await router.Push(push(user="bystander"))
        await bystander.receive()
        slowest = max(slowest, time.monotonic() - sent)
        if number > BURST:
            await asyncio.sleep((len(data) + 200) * 8 / (KBIT * 1_000) * 2)
    await router.Push(push(file="f", event="end"))
    return {"pushes": number, "outcomes": outcomes, "bystander_max_ms": round(slowest * 1_000, 1)}
