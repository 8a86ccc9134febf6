"""Client events through a Redis Stream: each header a field, the value in field `value` (design §8).

Records are gathered while the previous write is under way and sent as one pipeline. A batch whose answer was lost is
sent again, so a record may arrive twice; `X-Seq` tells consumers.
"""

import asyncio
import logging
from collections import deque

import redis.asyncio
from redis.exceptions import RedisError

from bus.settings import BusSection
from gateway.events.port import EventSettings, Record
from observability.counters import Counters

log = logging.getLogger(__name__)

CLOSE_WITHIN = 2.0  # seconds


class RedisStream:
    """An `EventSink` over one Redis Stream."""

    def __init__(self, bus: BusSection, settings: EventSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._waiting: deque[Record] = deque()
        self._in_flight = 0
        self._bytes = 0  # of values waiting or in flight
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._redis = redis.asyncio.Redis.from_url(
            bus.redis, socket_timeout=bus.timeout, socket_connect_timeout=bus.timeout
        )

    def publish(self, record: Record) -> bool:
        if self._too_much(len(record.value)):
            self._room.clear()
            self._counters.events_refused += 1
            return False
        self.publish_own(record)
        return True

    def publish_own(self, record: Record) -> None:
        self._waiting.append(record)
        self._bytes += len(record.value)
        self._some.set()

    def full(self) -> bool:
        return self._too_much(0)

    def _too_much(self, size: int) -> bool:
        settings = self._settings
        held = len(self._waiting) + self._in_flight
        return held >= settings.buffer or (held > 0 and self._bytes + size > settings.buffer_bytes)

    async def wait_room(self) -> None:
        await self._room.wait()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            await self._send_next()
            if not self._waiting:
                self._some.clear()
            self._room.set()

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                while self._waiting:
                    await self._send_next()
        except TimeoutError:
            log.error(
                "client events were not sent: Redis did not take them before the stop",
                extra={"events": len(self._waiting)},
            )
        await self._redis.aclose()

    async def _send_next(self) -> None:
        """Send one batch. Cancelled in between, it goes back to the head of the line."""
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._settings.batch))]
        self._in_flight = len(batch)
        try:
            await self._send_until_taken(batch)
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
        finally:
            self._in_flight = 0
        self._bytes -= sum(len(record.value) for record in batch)
        self._counters.events_published += len(batch)
        for record in batch:
            if record.on_taken is not None:
                record.on_taken()

    async def _send_until_taken(self, batch: list[Record]) -> None:
        pause = 0.0
        while True:
            try:
                await self._send(batch)
            except (RedisError, OSError, TimeoutError) as error:
                if not pause:
                    log.warning("Redis at %s is away, client events wait: %s", self._address(), error)
                pause = min(2.0, pause * 2 or 0.05)
                await asyncio.sleep(pause)
            else:
                if pause:
                    log.info("Redis at %s is back", self._address())
                return

    async def _send(self, batch: list[Record]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for record in batch:
                fields = {**record.headers, "value": record.value}
                pipe.xadd(self._settings.name, fields, maxlen=self._settings.keep, approximate=True)  # type: ignore[arg-type]
            await pipe.execute()

    def _address(self) -> str:
        where = self._redis.connection_pool.connection_kwargs
        return f"{where.get('host', '?')}:{where.get('port', '?')}"
