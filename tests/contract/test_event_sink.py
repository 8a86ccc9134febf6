"""The event bus' contract: in order, at least once, bounded, and nothing lost while the bus is away.

One implementation stands so far (Redis Streams); the next one joins `SINKS`.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bus.settings import BusSection
from gateway.events.port import EventSettings, Record
from gateway.events.redis_stream import RedisStream
from observability import names
from observability.counters import counters
from tests.support.servers import Server, start_redis


class Rig:
    def __init__(self, server: Server, buffer: int) -> None:
        self.server = server
        self.bus = BusSection(redis=f"redis://{server.endpoint}", timeout=0.5)
        self.settings = EventSettings(buffer=buffer, batch=7)
        self.counters = counters(names.GATEWAY)
        self.sink = RedisStream(self.bus, self.settings, self.counters)
        self.running: asyncio.Task[None] | None = None

    def run(self) -> None:
        self.running = asyncio.ensure_future(self.sink.run())

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
        await self.sink.close()

    async def read(self, number: int) -> list[dict[bytes, bytes]]:
        """The first `number` records on the bus, as soon as they are there."""
        async with Redis.from_url(self.bus.redis) as redis, asyncio.timeout(10):
            records: list[tuple[bytes, dict[bytes, bytes]]] = []
            while len(records) < number:
                after = records[-1][0] if records else "0"
                for _, got in await redis.xread({self.settings.name: after}, block=500):
                    records += got
        return [fields for _, fields in records]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    with start_redis(tmp_path) as server:
        made = Rig(server, buffer=20)
        yield made
        await made.stop()


def record(number: int) -> Record:
    return Record("key", {"X-ID": str(number), "X-Uid": "ädä"}, b"\x00%d" % number)


async def test_every_header_is_a_field_and_order_is_kept(rig: Rig) -> None:
    rig.run()
    for number in range(50):
        while not rig.sink.publish(record(number)):
            await rig.sink.wait_room()
    got = await rig.read(50)
    assert [fields[b"X-ID"] for fields in got] == [b"%d" % number for number in range(50)]
    assert got[3] == {b"X-ID": b"3", b"X-Uid": "ädä".encode(), b"value": b"\x003"}


async def test_a_full_buffer_is_a_verdict_and_room_is_told(rig: Rig) -> None:
    taken = [rig.sink.publish(record(number)) for number in range(25)]
    assert taken == [True] * 20 + [False] * 5
    assert rig.counters.events_refused == 5
    rig.sink.publish_own(record(99))  # the gateway's own cannot be refused
    rig.run()
    async with asyncio.timeout(5):
        await rig.sink.wait_room()
    assert rig.sink.publish(record(100))
    assert [fields[b"X-ID"] for fields in await rig.read(22)][-2:] == [b"99", b"100"]


async def test_nothing_is_lost_or_reordered_while_the_bus_is_away(rig: Rig) -> None:
    rig.run()
    rig.sink.publish(record(0))
    await rig.read(1)
    rig.server.kill()
    for number in range(1, 20):
        assert rig.sink.publish(record(number))
    rig.server.restart()  # empty: it keeps nothing on disk
    got = [int(fields[b"X-ID"]) for fields in await rig.read(19)]
    assert list(dict.fromkeys(got)) == list(range(1, 20))


async def test_close_sends_what_is_left(rig: Rig) -> None:
    for number in range(15):
        rig.sink.publish(record(number))
    await rig.sink.close()
    assert len(await rig.read(15)) == 15


async def test_close_ends_in_time_when_the_bus_is_away_and_says_what_was_not_sent(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.server.kill()
    rig.sink.publish(record(0))
    async with asyncio.timeout(5):
        await rig.sink.close()
    assert "were not sent" in caplog.text
