"""A subscriber to a channel whose subscription fails or is silent: it asks, and subscribes again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.bus import redis_channel
from runtime.bus.redis_channel import RedisSubscriber
from runtime.bus.settings import BusSection

Reply = dict[str, object]
PONG: Reply = {"type": "pong", "data": b""}
GONE = RedisConnectionError("gone")


def message(data: bytes) -> Reply:
    return {"type": "message", "data": data}


class ScriptedSubscription:
    """Its replies in turn; None is silence for as long as one waits, an error is raised, and then nothing comes."""

    def __init__(self, *script: Reply | Exception | None) -> None:
        self.script = list(script)
        self.pings = 0
        self.closed = 0

    async def get_message(self, timeout: float) -> Reply | None:
        if not self.script:
            await asyncio.Event().wait()
        found = self.script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def ping(self) -> None:
        self.pings += 1

    async def aclose(self) -> None:
        self.closed += 1


class ScriptedSubscriber(RedisSubscriber):
    """A subscriber whose subscriptions are given by a test; an exception is a subscription that fails."""

    def __init__(self, *subscriptions: ScriptedSubscription | Exception) -> None:
        super().__init__(BusSection(redis="redis://h:1"), "pushes")
        self.subscriptions = list(subscriptions)
        self.received: list[bytes] = []

    async def _subscribe(self) -> ScriptedSubscription:
        subscription = self.subscriptions.pop(0)
        if isinstance(subscription, Exception):
            raise subscription
        return subscription

    @asynccontextmanager
    async def running(self, messages: int) -> AsyncIterator[None]:
        """Until so many messages have come."""
        running = asyncio.ensure_future(self.run(self.received.append))
        while len(self.received) < messages:
            await asyncio.sleep(0)
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await self.close()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_channel, "FIRST_PAUSE", 1e-6)
    monkeypatch.setattr(redis_channel, "MAX_PAUSE", 2e-6)


async def test_a_silent_subscription_is_asked_and_goes_on_when_it_answers() -> None:
    subscription = ScriptedSubscription(None, PONG, message(b"one"), None, message(b"two"))
    async with ScriptedSubscriber(subscription).running(2):
        assert (subscription.pings, subscription.closed) == (2, 0)
    assert subscription.closed == 1


async def test_one_that_does_not_answer_is_over(caplog: pytest.LogCaptureFixture) -> None:
    silent, second = ScriptedSubscription(None, None), ScriptedSubscription(message(b"one"))
    async with ScriptedSubscriber(silent, second).running(1):
        assert (silent.pings, silent.closed) == (1, 1)
    assert "silent for 10 s" in caplog.text


async def test_failures_in_a_row_are_logged_once_and_so_is_the_next_subscription(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "runtime.bus")
    first = ScriptedSubscription(message(b"one"), GONE)
    async with ScriptedSubscriber(first, GONE, GONE, ScriptedSubscription(message(b"two"))).running(2):
        assert first.closed == 1
    levels = [(line.levelname, "again" in line.message) for line in caplog.records]
    assert levels == [("INFO", True), ("WARNING", False), ("INFO", True)]
