"""The broadcast channel's contract, over each bus: the in-memory twin, a real Redis and a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.bus.kafka_topic import KafkaPublisher, KafkaSubscriber
from runtime.bus.memory import MemoryBus
from runtime.bus.port import MAX_MESSAGE_SIZE, BusMessageTooLarge, BusUnavailable, Publisher, Subscriber
from runtime.bus.redis_channel import RedisPublisher, RedisSubscriber
from runtime.bus.settings import BusSection
from tests.support.servers import Server, start_redis

CHANNEL = "pushes of a test"
TOPIC = "homing.pushes-test"


class RecordingSubscriber:
    """A subscriber that runs, and the messages it has received."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.received: list[bytes] = []
        self._some = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> "RecordingSubscriber":
        await self.subscriber.open()
        self._running = asyncio.ensure_future(self.subscriber.run(self._on_message))
        return self

    def _on_message(self, message: bytes) -> None:
        self.received.append(message)
        self._some.set()

    async def wait(self, number: int, within: float = 10.0) -> list[bytes]:
        """The first `number` messages."""
        async with asyncio.timeout(within):
            while len(self.received) < number:
                self._some.clear()
                await self._some.wait()
        return self.received[:number]

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.subscriber.close()


class BusRig:
    """One bus, its publishers and subscribers, and its faults."""

    def __init__(self) -> None:
        self.opened: list[Publisher | RecordingSubscriber] = []

    def publisher(self) -> Publisher: ...
    def subscriber(self) -> Subscriber: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...

    async def open_publisher(self) -> Publisher:
        publisher = self.publisher()
        self.opened.append(publisher)
        await publisher.open()
        return publisher

    async def open_subscriber(self) -> RecordingSubscriber:
        recording = RecordingSubscriber(self.subscriber())
        self.opened.append(recording)
        return await recording.open()

    async def stop(self) -> None:
        for end in self.opened:
            await end.close()


class MemoryRig(BusRig):
    def __init__(self) -> None:
        super().__init__()
        self._bus = MemoryBus(MAX_MESSAGE_SIZE)
        self.publisher, self.subscriber = self._bus.publisher, self._bus.subscriber
        self.kill = lambda: self._bus.set_available(False)
        self.restart = lambda: self._bus.set_available(True)


class RedisRig(BusRig):
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


class KafkaRig(BusRig):
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
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BusRig]:
    if request.param == "memory":
        one: BusRig = MemoryRig()
    elif request.param == "redis":
        one = RedisRig(tmp_path)
    else:
        one = KafkaRig(request.getfixturevalue("breakable_kafka"))
    yield one
    await one.stop()


@pytest.mark.timeout(90)
async def test_the_contract(rig: BusRig) -> None:
    """One test a bus: a broker takes seconds to start."""
    await check_order_for_every_subscriber(rig)
    await check_that_a_subscriber_receives_nothing_older(rig)
    await check_sizes(rig)
    await check_unavailable_and_available_again(rig)


async def check_order_for_every_subscriber(rig: BusRig) -> None:
    publisher = await rig.open_publisher()
    one, two = await rig.open_subscriber(), await rig.open_subscriber()
    messages = [b"\x00%d" % number for number in range(200)]
    for message in messages:
        await publisher.publish(message)
    assert await one.wait(200) == messages
    assert await two.wait(200) == messages


async def check_that_a_subscriber_receives_nothing_older(rig: BusRig) -> None:
    publisher = await rig.open_publisher()
    await publisher.publish(b"before")
    late = await rig.open_subscriber()
    await publisher.publish(b"after")
    assert await late.wait(1) == [b"after"]


async def check_sizes(rig: BusRig) -> None:
    publisher, recording = await rig.open_publisher(), await rig.open_subscriber()
    large = bytes(1_100_000)  # more than the largest push that the API takes by default
    await publisher.publish(large)
    with pytest.raises(BusMessageTooLarge) as refused:
        await publisher.publish(bytes(MAX_MESSAGE_SIZE + 1))
    assert str(MAX_MESSAGE_SIZE + 1) in str(refused.value)
    await publisher.publish(b"next")
    assert await recording.wait(2) == [large, b"next"]


async def check_unavailable_and_available_again(rig: BusRig) -> None:
    publisher, recording = await rig.open_publisher(), await rig.open_subscriber()
    await publisher.publish(b"first")
    await recording.wait(1)
    await asyncio.to_thread(rig.kill)
    with pytest.raises(BusUnavailable):
        await publisher.publish(b"while unavailable")
    with pytest.raises(BusUnavailable):
        await publisher.publish(b"still unavailable")
    await asyncio.to_thread(rig.restart)
    sent = 0
    async with asyncio.timeout(30):
        while len(recording.received) < 20:  # it has subscribed again, or was not disturbed
            sent += 1
            try:
                await publisher.publish(b"%d" % sent)
                await recording.wait(len(recording.received) + 1, 0.1)
            except (BusUnavailable, TimeoutError):
                await asyncio.sleep(0.02)
    received = [int(message) for message in recording.received if message.isdigit()]
    assert received == sorted(set(received))  # in order, each at most once


@pytest.mark.parametrize("kind", ["redis", "kafka"])
async def test_the_error_without_a_bus_has_the_address_and_the_remedy(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.bus.kafka_client.START_TIMEOUT", 0.3)
    bus = BusSection(redis="redis://127.0.0.1:1", kafka="127.0.0.1:1", timeout=0.3)
    ends = {
        "redis": (RedisPublisher(bus, CHANNEL), RedisSubscriber(bus, CHANNEL)),
        "kafka": (KafkaPublisher(bus, TOPIC), KafkaSubscriber(bus, TOPIC)),
    }
    for end in ends[kind]:
        with pytest.raises(BusUnavailable, match=rf"bus\.{kind}: .*127\.0\.0\.1:1.* does not answer.*homing up"):
            await end.open()
        await end.close()
