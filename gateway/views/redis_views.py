"""Shell: the views in Redis (docs/design.md, "Views"), one script call for many sessions.

`ws:client:<sid>` is a hash (user, files, node, codec, auth_type, connected_at and last_seen in ms);
`ws:user:clients:<uid>` and `ws:guid:clients:<guid>` are sorted sets of sids by when their gateway last wrote them (ms).
`last_seen` is what the heartbeat knows when a session's turn comes to be written: no write is made for it alone.
Whatever a gateway has written expires `ttl` after it was last refreshed: a hash by itself, a member of a set with the
next write to that set, since another gateway may keep the set alive. Whoever reads a set leaves out what was not
written for `ttl`.
"""

import asyncio
import logging
import time

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from gateway.sessions.session import Session
from gateway.views.due import Due, Shown
from gateway.views.port import ViewSettings
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

LONGEST_PAUSE = 2.0  # seconds between two tries while Redis is away
CLOSE_WITHIN = 2.0  # seconds
CHECK_EVERY = 3.0  # seconds between two looks whether it is the Redis that was written to

WRITE = """
local now, ttl, node = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local function seen(key, sid)
  redis.call('ZADD', key, now, sid)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ttl)
  redis.call('PEXPIRE', key, ttl)
end
for _, one in ipairs(cmsgpack.unpack(ARGV[4])) do
  local sid, user, gone = one[1], one[2], one[3]
  for _, guid in ipairs(one[5]) do redis.call('ZREM', 'ws:guid:clients:' .. guid, sid) end
  if gone then
    redis.call('DEL', 'ws:client:' .. sid)
    redis.call('ZREM', 'ws:user:clients:' .. user, sid)
  else
    redis.call('HSET', 'ws:client:' .. sid, 'user', user, 'files', one[6], 'node', node, 'codec', one[7],
      'auth_type', one[8], 'connected_at', one[9], 'last_seen', one[10])
    redis.call('PEXPIRE', 'ws:client:' .. sid, ttl)
    seen('ws:user:clients:' .. user, sid)
    for _, guid in ipairs(one[4]) do seen('ws:guid:clients:' .. guid, sid) end
  end
end
"""

_encode = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode


class RedisViews:
    """The `Views` port. Redis away: what changed waits, what left waits within a bound; nobody else notices."""

    def __init__(self, bus: BusSection, settings: ViewSettings, node: str) -> None:
        self._settings = settings
        self._node = node
        self._due = Due(settings.refresh, settings.held)
        self._redis = redis.asyncio.Redis.from_url(
            bus.redis, socket_timeout=bus.timeout, socket_connect_timeout=bus.timeout
        )
        self._write_script = self._redis.register_script(WRITE)
        self._away = False
        self._run_id = ""  # of the Redis that was written to; "": none yet
        self._check_at = 0.0  # monotonic seconds

    def changed(self, session: Session) -> None:
        self._due.changed(session)

    def gone(self, session: Session) -> None:
        self._due.gone(session)

    async def run(self) -> None:
        """Write what is due, for ever, and everything again after a restart of Redis, which may have left nothing."""
        pause = self._settings.gather
        while True:
            await asyncio.sleep(pause)
            await self._check_run_id()
            pause = self._settings.gather if await self._write_all() else min(LONGEST_PAUSE, pause * 2)

    async def close(self) -> None:
        """Write what is left, which after a drain is that all have gone."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._write_all()
        except TimeoutError:
            log.info("the views were not all deleted; they expire within %.0f s", self._settings.ttl)
        await self._redis.aclose()

    async def _check_run_id(self) -> None:
        if time.monotonic() < self._check_at:
            return
        self._check_at = time.monotonic() + CHECK_EVERY
        try:
            run_id = str((await self._redis.info("server"))["run_id"])
        except (RedisError, OSError, TimeoutError, KeyError):
            self._check_at = 0.0  # the first thing to be done when it is back
            return
        if self._run_id and run_id != self._run_id:
            log.info("Redis was restarted: the views are written again")
            self._due.rewrite()
        self._run_id = run_id

    async def _write_all(self) -> bool:
        """Until nothing is due. False: Redis is away."""
        while taken := self._due.take(self._settings.batch, time.monotonic()):
            try:
                await self._write(taken)
            except (RedisError, OSError, TimeoutError) as error:
                self._due.failed(taken)
                self._log_availability(away=True, why=error)
                return False
            except BaseException:
                self._due.failed(taken)
                raise
            self._due.written(taken, time.monotonic())
            self._log_availability(away=False)
        return True

    async def _write(self, taken: list[Shown]) -> None:
        wall, ttl = time.time(), round(self._settings.ttl * 1000)
        epoch = wall - time.monotonic()  # of the loop's clock, by which the heartbeat remembers
        rows = _encode([_row(one, epoch) for one in taken])
        await self._write_script(keys=[], args=[round(wall * 1000), ttl, self._node, rows])

    def _log_availability(self, away: bool, why: Exception | None = None) -> None:
        if away and not self._away:
            log.warning("Redis is away, the views wait: %s", str(why) or type(why).__name__)
        elif self._away and not away:
            log.info("Redis is back, the views are written again")
        self._away = away


def _row(one: Shown, epoch: float) -> tuple[object, ...]:
    """`epoch`: what to add to the loop's time for seconds since the Unix epoch."""
    session = one.session
    row = (str(session.sid), session.user, one.gone, one.files, one.left)
    if one.gone:
        return row
    files = _json(one.files).decode()
    connection = session.connection
    seen = session.connected_at if connection is None else round((epoch + connection.seen_at) * 1000)
    return (*row, files, session.codec.name, session.identity.auth_type, str(session.connected_at), str(seen))
