"""A subscriber to a topic whose consumer fails: it subscribes again, however often that fails too."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError

from runtime.bus import kafka_topic
from runtime.bus.kafka_topic import KafkaSubscriber
from runtime.bus.settings import BusSection

GONE = KafkaConnectionError("gone")


class Record(NamedTuple):
    value: bytes | None


class ScriptedConsumer:
    """Yields values, then fails; without an error it waits for more."""

    def __init__(self, *values: bytes | None, error: KafkaError | None = None) -> None:
        self.values = values
        self.error = error
        self.stopped = 0

    async def __aiter__(self) -> AsyncIterator[Record]:
        for value in self.values:
            yield Record(value)
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped += 1
        raise self.error or GONE  # which nobody must notice


class ScriptedSubscriber(KafkaSubscriber):
    """A subscriber whose subscriptions are given by a test; an exception is a subscription that fails."""

    def __init__(self, *subscriptions: ScriptedConsumer | KafkaError) -> None:
        super().__init__(BusSection(kind="kafka", kafka="h:1"), "pushes")
        self.subscriptions = list(subscriptions)

    async def _subscribe(self) -> ScriptedConsumer:
        subscription = self.subscriptions.pop(0)
        if isinstance(subscription, KafkaError):
            raise subscription
        return subscription


async def test_a_subscriber_that_fails_subscribes_again_and_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka_topic, "RETRY_PAUSE", 0.0)
    caplog.set_level("INFO", "runtime.bus")
    first, second = ScriptedConsumer(b"one", None, error=GONE), ScriptedConsumer(b"two")
    subscriber = ScriptedSubscriber(first, GONE, second)
    received: list[bytes] = []
    running = asyncio.ensure_future(subscriber.run(received.append))
    while len(received) < 2:
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (received, first.stopped) == ([b"one", b"two"], 1)
    levels = [(line.levelname, "again" in line.message) for line in caplog.records]
    assert levels == [("INFO", True), ("WARNING", False), ("WARNING", False), ("INFO", True)]
    assert "bus.kafka: h:1 does not answer" in caplog.text
    await subscriber.close()
    assert second.stopped == 1


async def test_a_subscriber_without_a_consumer_has_nothing_to_close() -> None:
    await ScriptedSubscriber().close()
