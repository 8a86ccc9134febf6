"""The event bus' contract: in order, at least once, bounded, and nothing lost while the bus is away.

One suite for every bus, on its real server.
"""

import asyncio
import secrets
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from observability import names
from observability.counters import counters
from runtime.bus.settings import BusSection
from runtime.events.kafka_topic import KafkaTopic
from runtime.events.port import EventSettings, EventSink, Record
from runtime.events.redis_stream import RedisStream
from tests.contract.registry_rig import until
from tests.support.kafka import headers as headers_of
from tests.support.kafka import read
from tests.support.servers import Server, start_redis

pytestmark = pytest.mark.timeout(90)  # a JVM starts in some of them

Read = tuple[dict[str, str], bytes]
"""A record as it was read back: headers and value."""


class Rig(ABC):
    """A sink, and its server to break."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.settings = EventSettings(name=f"events-{secrets.token_hex(4)}", buffer=20, batch=7)
        self.counters = counters(names.GATEWAY)
        self.sink = self.make_sink()
        self.running: asyncio.Task[None] | None = None

    @abstractmethod
    def make_sink(self) -> EventSink: ...

    @abstractmethod
    async def read(self, number: int) -> list[Read]:
        """The first `number` records on the bus, as soon as they are there."""

    def run(self) -> None:
        self.running = asyncio.ensure_future(self.sink.run())

    async def stop_running(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)

    async def stop(self) -> None:
        await self.stop_running()
        await self.sink.close()


class RedisRig(Rig):
    def make_sink(self) -> EventSink:
        self.bus = BusSection(redis=f"redis://{self.server.endpoint}", timeout=0.5)
        return RedisStream(self.bus, self.settings, self.counters)

    async def read(self, number: int) -> list[Read]:
        async with Redis.from_url(self.bus.redis) as redis, asyncio.timeout(10):
            records: list[tuple[bytes, dict[bytes, bytes]]] = []
            while len(records) < number:
                after = records[-1][0] if records else "0"
                for _, got in await redis.xread({self.settings.name: after}, block=500):
                    records += got
        return [
            ({name.decode(): value.decode() for name, value in fields.items() if name != b"value"}, fields[b"value"])
            for _, fields in records
        ]


class KafkaRig(Rig):
    def make_sink(self) -> EventSink:
        self.bus = BusSection(kind="kafka", kafka=self.server.endpoint, timeout=0.5)
        return KafkaTopic(self.bus, self.settings, self.counters)

    async def read(self, number: int) -> list[Read]:
        async with asyncio.timeout(10):
            records = await read(self.server.endpoint, self.settings.name, number)
        assert {record.key for record in records} == {b"key"}
        return [(headers_of(record), record.value) for record in records]


SINKS = {"redis": RedisRig, "kafka": KafkaRig}


@pytest.fixture(params=SINKS)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    server = start_redis(tmp_path) if request.param == "redis" else request.getfixturevalue("breakable_kafka")
    made = SINKS[request.param](server)
    yield made
    await made.stop()
    if request.param == "redis":
        server.stop()


def record(number: int, size: int = 0) -> Record:
    return Record("key", {"X-ID": str(number), "X-Uid": "ädä"}, b"\x00%d" % number + bytes(size))


def ids(records: list[Read]) -> list[int]:
    return [int(headers["X-ID"]) for headers, _ in records]


async def test_every_header_and_the_value_arrive_and_order_is_kept(rig: Rig) -> None:
    rig.run()
    for number in range(50):
        while not rig.sink.publish(record(number)):
            await rig.sink.wait_room()
    got = await rig.read(50)
    assert ids(got) == list(range(50))
    assert got[3] == ({"X-ID": "3", "X-Uid": "ädä"}, b"\x003")


async def test_who_asked_hears_that_the_bus_has_it(rig: Rig) -> None:
    taken: list[int] = []
    all_taken = asyncio.Event()

    def hear(number: int) -> None:
        taken.append(number)
        if len(taken) == 10:
            all_taken.set()

    for number in range(10):
        rig.sink.publish(Record("key", {"X-ID": str(number)}, b"", lambda number=number: hear(number)))
    assert taken == []
    rig.run()
    async with asyncio.timeout(10):
        await all_taken.wait()
    assert taken == list(range(10))
    assert rig.counters.events_published == 10


async def test_a_full_buffer_is_a_verdict_and_room_is_told(rig: Rig) -> None:
    taken = [rig.sink.publish(record(number)) for number in range(25)]
    assert taken == [True] * 20 + [False] * 5
    assert rig.counters.events_refused == 5
    assert (rig.sink.full(), rig.sink.held()) == (True, 20)
    rig.sink.publish_own(record(99))  # the gateway's own cannot be refused
    rig.run()
    async with asyncio.timeout(10):
        await rig.sink.wait_room()
    assert rig.sink.publish(record(100))
    assert ids(await rig.read(22))[-2:] == [99, 100]


async def test_nothing_is_lost_or_reordered_while_the_bus_is_away_which_is_said_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "runtime.events")
    rig.run()
    rig.sink.publish(record(0))
    await rig.read(1)
    rig.server.kill()
    for number in range(1, 20):
        assert rig.sink.publish(record(number))
    await asyncio.to_thread(rig.server.restart)
    keeps = 0 if isinstance(rig, RedisRig) else 1  # Redis comes back empty
    got = ids(await rig.read(19 + keeps))
    assert list(dict.fromkeys(got)) == list(range(1 - keeps, 20))
    await until(lambda: rig.sink.held() == 0)  # a consumer may have it before its producer's answer
    told = [line.message for line in caplog.records if line.name == "runtime.events.buffered"]
    assert len(told) == 2, told
    assert "is away, client events wait" in told[0]
    assert told[1].endswith("is back")


async def test_a_server_that_starts_late_gets_everything(rig: Rig) -> None:
    rig.server.kill()
    rig.run()
    for number in range(5):
        assert rig.sink.publish(record(number))
    await asyncio.to_thread(rig.server.restart)
    assert ids(await rig.read(5)) == list(range(5))


async def test_close_sends_what_is_left(rig: Rig) -> None:
    for number in range(15):
        rig.sink.publish(record(number))
    await rig.sink.close()
    assert ids(await rig.read(15)) == list(range(15))
    assert (rig.counters.events_published, rig.sink.held()) == (15, 0)


async def test_a_stop_in_the_middle_of_a_write_sends_nothing_twice(rig: Rig) -> None:
    rig.run()
    for number in range(20):
        rig.sink.publish(record(number))
    await asyncio.sleep(0)  # the first write has begun
    await rig.stop_running()
    await rig.sink.close()
    assert rig.counters.events_published == 20
    rig.sink = rig.make_sink()
    rig.sink.publish(record(20))
    await rig.sink.close()
    assert ids(await rig.read(21)) == list(range(21))


async def test_close_ends_in_time_when_the_bus_is_away_and_says_what_was_not_sent(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.run()
    rig.sink.publish(record(0))
    await rig.read(1)
    rig.server.process.send_signal(signal.SIGSTOP)  # it hangs; a dead one is told sooner
    try:
        for number in range(1, 6):
            rig.sink.publish(record(number))
        await rig.stop_running()
        async with asyncio.timeout(5):
            await rig.sink.close()
    finally:
        rig.server.process.send_signal(signal.SIGCONT)
    told = [line for line in caplog.records if "were not sent" in line.message]
    assert [line.events for line in told] == [5]  # type: ignore[attr-defined]


async def test_what_is_too_large_for_kafka_is_said_and_holds_up_nobody(
    kafka: Server, caplog: pytest.LogCaptureFixture
) -> None:
    rig = KafkaRig(kafka)
    rig.run()
    rig.sink.publish(record(0))
    rig.sink.publish(record(1, size=2_000_000))
    rig.sink.publish(record(2))
    assert ids(await rig.read(2)) == [0, 2]
    await until(lambda: rig.counters.events_published == 2)  # a consumer may have it before its producer's answer
    assert rig.counters.events_lost == 1
    await rig.stop()
    assert "a client event of 2000002 bytes is lost" in caplog.text
