"""Client events through a Redis Stream: each header a field, the value in field `value` (docs/design.md, "Events
upstream").

A batch is one call of a script, its records one msgpack argument. As a pipeline of XADDs each record would be packed,
and its answer read, by redis-py: a seventh of what a connect cost (docs/performance.md, "A connect").
"""

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from observability.counters import Counters
from runtime.bus.settings import BusSection
from runtime.events.buffered import BufferedSink
from runtime.events.port import EventSettings, Record

ADD = """
for _, fields in ipairs(cmsgpack.unpack(ARGV[2])) do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(fields))
end
"""

_encode = msgspec.msgpack.Encoder().encode


class RedisStream(BufferedSink):
    """An `EventSink` over one Redis Stream: a batch is one script call."""

    failures = (RedisError, OSError, TimeoutError)

    def __init__(self, bus: BusSection, settings: EventSettings, counters: Counters) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            bus.redis, socket_timeout=bus.timeout, socket_connect_timeout=bus.timeout
        )
        self._add = self._redis.register_script(ADD)
        where = self._redis.connection_pool.connection_kwargs
        super().__init__(f"Redis at {where.get('host', '?')}:{where.get('port', '?')}", settings, counters)

    async def open(self) -> None:
        """Nothing to wait for: a gateway starts without Redis, and its records wait."""

    async def _write(self, batch: list[Record]) -> None:
        records = _encode([_fields(record) for record in batch])
        await self._add(keys=[self._settings.name], args=[self._settings.keep, records])
        self._taken(batch.copy())
        batch.clear()

    async def _disconnect(self) -> None:
        await self._redis.aclose()


def _fields(record: Record) -> list[str | msgspec.Raw]:
    fields: list[str | msgspec.Raw] = [text for header in record.headers.items() for text in header]
    # The server's reader knows no bin, only the older raw: msgpack's str, which there may hold any bytes.
    fields += ("value", msgspec.Raw(b"\xdb" + len(record.value).to_bytes(4, "big") + record.value))
    return fields
