"""Shell: the broadcast channel as Redis pub/sub. Redis keeps nothing: who is not there never hears it."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime.bus.port import LARGEST, BusAway, TooLarge
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

FAILURES = (RedisError, OSError, TimeoutError)
SILENT = 5.0  # seconds without a message after which we ask whether Redis is still there
LONGEST_PAUSE = 1.0  # seconds between two tries to subscribe again


class RedisPublisher:
    """A `Publisher` over one channel."""

    def __init__(self, bus: BusSection, channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self._redis = _connect(bus)

    async def open(self) -> None:
        try:
            await self._redis.ping()
        except FAILURES as error:
            raise _away(self._bus, error) from None

    async def publish(self, message: bytes) -> None:
        if len(message) > LARGEST:
            raise TooLarge(f"a message of {len(message)} bytes; at most {LARGEST} go over the bus")
        try:
            await self._redis.publish(self._channel, message)
        except FAILURES as error:
            raise _away(self._bus, error) from None

    async def close(self) -> None:
        await self._redis.aclose()


class RedisSubscriber:
    """A `Subscriber` over one channel."""

    def __init__(self, bus: BusSection, channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self._redis = _connect(bus)
        self._subscription: PubSub | None = None

    async def open(self) -> None:
        try:
            self._subscription = await self._subscribe()
        except FAILURES as error:
            raise _away(self._bus, error) from None

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        pause = 0.0
        while True:
            try:
                if self._subscription is None:
                    self._subscription = await self._subscribe()
                    log.info("Redis is back; pushes that were published meanwhile are lost")
                pause = 0.0
                await self._hear_all(self._subscription, on_message)
            except FAILURES as error:
                if not pause:
                    log.warning("no pushes can be heard: %s", _away(self._bus, error))
                await self._unsubscribe()
                pause = min(LONGEST_PAUSE, pause * 2 or 0.05)
                await asyncio.sleep(pause)

    async def close(self) -> None:
        await self._unsubscribe()
        await self._redis.aclose()

    async def _subscribe(self) -> PubSub:
        """Subscribed when this returns: Redis has confirmed it."""
        subscription = self._redis.pubsub()
        try:
            await subscription.subscribe(self._channel)
            async with asyncio.timeout(self._bus.timeout):
                while (said := await subscription.get_message(timeout=self._bus.timeout)) is None:
                    pass  # a wait that was over an instant early
        except BaseException:
            await subscription.aclose()  # type: ignore[no-untyped-call]
            raise
        assert said["type"] == "subscribe", said
        return subscription

    async def _hear_all(self, subscription: PubSub, on_message: Callable[[bytes], None]) -> None:
        """Until the connection fails, or says nothing although it was asked."""
        asked = False
        while True:
            said = await subscription.get_message(timeout=SILENT)
            if said is not None:
                asked = False
                if said["type"] == "message":
                    on_message(said["data"])
            elif asked:
                raise TimeoutError(f"silent for {2 * SILENT:.0f} s")
            else:
                await subscription.ping()
                asked = True

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()  # type: ignore[no-untyped-call]


def _connect(bus: BusSection) -> Redis:
    """No tries again by the library: that something may be lost is ours to know."""
    return Redis.from_url(
        bus.redis,
        socket_timeout=bus.timeout,
        socket_connect_timeout=bus.timeout,
        retry=Retry(NoBackoff(), 0),
    )


def _away(bus: BusSection, error: BaseException) -> BusAway:
    why = str(error) or type(error).__name__
    return BusAway(f"bus.redis: {bus.redis} does not answer ({why}); is Redis running? `homing up` starts one")
