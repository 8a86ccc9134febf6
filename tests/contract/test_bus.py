"""The broadcast channel's contract, over each bus: the in-memory twin, a real Redis and a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.bus.kafka_topic import KafkaPublisher, KafkaSubscriber
from runtime.bus.memory import MemoryBus
from runtime.bus.port import LARGEST, BusAway, Publisher, Subscriber, TooLarge
from runtime.bus.redis_channel import RedisPublisher, RedisSubscriber
from runtime.bus.settings import BusSection
from tests.support.servers import Server, start_redis

CHANNEL = "pushes of a test"
TOPIC = "homing.pushes-test"


class RecordingSubscriber:
    """A subscriber that runs, and what it has heard."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.heard: list[bytes] = []
        self._some = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> "RecordingSubscriber":
        await self.subscriber.open()
        self._running = asyncio.ensure_future(self.subscriber.run(self._hear))
        return self

    def _hear(self, message: bytes) -> None:
        self.heard.append(message)
        self._some.set()

    async def wait(self, number: int, within: float = 10.0) -> list[bytes]:
        """The first `number` messages."""
        async with asyncio.timeout(within):
            while len(self.heard) < number:
                self._some.clear()
                await self._some.wait()
        return self.heard[:number]

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.subscriber.close()


class Rig:
    """One bus, its ends, and a hand on its switch."""

    def __init__(self) -> None:
        self.opened: list[Publisher | RecordingSubscriber] = []

    def publisher(self) -> Publisher: ...
    def subscriber(self) -> Subscriber: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...

    async def publish_to(self) -> Publisher:
        publisher = self.publisher()
        self.opened.append(publisher)
        await publisher.open()
        return publisher

    async def subscriber_of(self) -> RecordingSubscriber:
        subscriber_of = RecordingSubscriber(self.subscriber())
        self.opened.append(subscriber_of)
        return await subscriber_of.open()

    async def stop(self) -> None:
        for end in self.opened:
            await end.close()


class MemoryRig(Rig):
    def __init__(self) -> None:
        super().__init__()
        self._bus = MemoryBus(LARGEST)
        self.publisher, self.subscriber = self._bus.publisher, self._bus.subscriber
        self.kill, self.restart = self._bus.go_away, self._bus.come_back


class RedisRig(Rig):
    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.server = start_redis(directory)
        self.bus = BusSection(redis=f"redis://{self.server.endpoint}", timeout=0.5)
        self.kill, self.restart = self.server.kill, self.server.restart

    def publisher(self) -> Publisher:
        return RedisPublisher(self.bus, CHANNEL)

    def subscriber(self) -> Subscriber:
        return RedisSubscriber(self.bus, CHANNEL)

    async def stop(self) -> None:
        await super().stop()
        self.server.stop()


class KafkaRig(Rig):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.bus = BusSection(kind="kafka", kafka=self.server.endpoint, timeout=1.0)
        self.kill, self.restart = self.server.kill, self.server.restart

    def publisher(self) -> Publisher:
        return KafkaPublisher(self.bus, TOPIC)

    def subscriber(self) -> Subscriber:
        return KafkaSubscriber(self.bus, TOPIC)


@pytest.fixture(params=["memory", "redis", "kafka"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "memory":
        one: Rig = MemoryRig()
    elif request.param == "redis":
        one = RedisRig(tmp_path)
    else:
        one = KafkaRig(request.getfixturevalue("breakable_kafka"))
    yield one
    await one.stop()


@pytest.mark.timeout(90)
async def test_the_contract(rig: Rig) -> None:
    """One test a bus: a broker takes seconds to start."""
    await check_order_and_everybody(rig)
    await check_that_nothing_old_is_heard(rig)
    await check_sizes(rig)
    await check_away_and_back(rig)


async def check_order_and_everybody(rig: Rig) -> None:
    publisher = await rig.publish_to()
    one, two = await rig.subscriber_of(), await rig.subscriber_of()
    messages = [b"\x00%d" % number for number in range(200)]
    for message in messages:
        await publisher.publish(message)
    assert await one.wait(200) == messages
    assert await two.wait(200) == messages


async def check_that_nothing_old_is_heard(rig: Rig) -> None:
    publisher = await rig.publish_to()
    await publisher.publish(b"before")
    late = await rig.subscriber_of()
    await publisher.publish(b"after")
    assert await late.wait(1) == [b"after"]


async def check_sizes(rig: Rig) -> None:
    publisher, subscriber_of = await rig.publish_to(), await rig.subscriber_of()
    large = bytes(1_100_000)  # more than the largest push that the API takes by default
    await publisher.publish(large)
    with pytest.raises(TooLarge) as refused:
        await publisher.publish(bytes(LARGEST + 1))
    assert str(LARGEST + 1) in str(refused.value)
    await publisher.publish(b"next")
    assert await subscriber_of.wait(2) == [large, b"next"]


async def check_away_and_back(rig: Rig) -> None:
    publisher, subscriber_of = await rig.publish_to(), await rig.subscriber_of()
    await publisher.publish(b"first")
    await subscriber_of.wait(1)
    await asyncio.to_thread(rig.kill)
    with pytest.raises(BusAway):
        await publisher.publish(b"nobody takes it")
    with pytest.raises(BusAway):
        await publisher.publish(b"nor this")
    await asyncio.to_thread(rig.restart)
    sent = 0
    async with asyncio.timeout(30):
        while len(subscriber_of.heard) < 20:  # it has subscribed again, or was not disturbed
            sent += 1
            try:
                await publisher.publish(b"%d" % sent)
                await subscriber_of.wait(len(subscriber_of.heard) + 1, 0.1)
            except (BusAway, TimeoutError):
                await asyncio.sleep(0.02)
    heard = [int(message) for message in subscriber_of.heard if message.isdigit()]
    assert heard == sorted(set(heard))  # in order, each at most once


@pytest.mark.parametrize("kind", ["redis", "kafka"])
async def test_a_bus_that_is_not_there_is_named_with_its_cure(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.bus.kafka_client.START_LIMIT", 0.3)
    bus = BusSection(redis="redis://127.0.0.1:1", kafka="127.0.0.1:1", timeout=0.3)
    ends = {
        "redis": (RedisPublisher(bus, CHANNEL), RedisSubscriber(bus, CHANNEL)),
        "kafka": (KafkaPublisher(bus, TOPIC), KafkaSubscriber(bus, TOPIC)),
    }
    for end in ends[kind]:
        with pytest.raises(BusAway, match=rf"bus\.{kind}: .*127\.0\.0\.1:1.* does not answer.*homing up"):
            await end.open()
        await end.close()
