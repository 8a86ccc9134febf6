"""Shell: the broadcast channel as Redis pub/sub. Redis stores nothing: only those subscribed at the time receive."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio.client import PubSub

from runtime.bus.port import MAX_MESSAGE_SIZE, BusMessageTooLarge
from runtime.bus.redis_client import FAILURES, connect, unavailable
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

PING_AFTER = 5.0  # seconds without a message, before a PING
FIRST_PAUSE, MAX_PAUSE = 0.05, 1.0  # seconds between two attempts to subscribe again


class RedisPublisher:
    """A `Publisher` over one channel."""

    def __init__(self, bus: BusSection, channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self._redis = connect(bus)

    async def open(self) -> None:
        try:
            await self._redis.ping()
        except FAILURES as error:
            raise unavailable(self._bus, error) from None

    async def publish(self, message: bytes) -> None:
        if len(message) > MAX_MESSAGE_SIZE:
            raise BusMessageTooLarge(f"a message of {len(message)} bytes; at most {MAX_MESSAGE_SIZE} go over the bus")
        try:
            await self._redis.publish(self._channel, message)
        except FAILURES as error:
            raise unavailable(self._bus, error) from None

    async def close(self) -> None:
        await self._redis.aclose()


class RedisSubscriber:
    """A `Subscriber` over one channel."""

    def __init__(self, bus: BusSection, channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self._redis = connect(bus)
        self._subscription: PubSub | None = None

    async def open(self) -> None:
        try:
            self._subscription = await self._subscribe()
        except FAILURES as error:
            raise unavailable(self._bus, error) from None

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        pause = 0.0
        while True:
            try:
                if self._subscription is None:
                    self._subscription = await self._subscribe()
                    log.info("subscribed to Redis again; pushes that were published meanwhile are lost")
                pause = 0.0
                await self._receive(self._subscription, on_message)
            except FAILURES as error:
                if not pause:
                    log.warning("no pushes are received: %s", unavailable(self._bus, error))
                await self._unsubscribe()
                pause = min(MAX_PAUSE, pause * 2 or FIRST_PAUSE)
                await asyncio.sleep(pause)

    async def close(self) -> None:
        await self._unsubscribe()
        await self._redis.aclose()

    async def _subscribe(self) -> PubSub:
        """Subscribe, and wait for Redis' confirmation."""
        subscription = self._redis.pubsub()
        try:
            await subscription.subscribe(self._channel)
            async with asyncio.timeout(self._bus.timeout):
                while (reply := await subscription.get_message(timeout=self._bus.timeout)) is None:
                    pass  # its timeout has passed an instant before ours
        except BaseException:
            await subscription.aclose()  # type: ignore[no-untyped-call]
            raise
        assert reply["type"] == "subscribe", reply
        return subscription

    async def _receive(self, subscription: PubSub, on_message: Callable[[bytes], None]) -> None:
        """Until the connection fails, or stays silent after a PING."""
        pinged = False
        while True:
            reply = await subscription.get_message(timeout=PING_AFTER)
            if reply is not None:
                pinged = False
                if reply["type"] == "message":
                    on_message(reply["data"])
            elif pinged:
                raise TimeoutError(f"silent for {2 * PING_AFTER:.0f} s")
            else:
                await subscription.ping()
                pinged = True

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()  # type: ignore[no-untyped-call]
