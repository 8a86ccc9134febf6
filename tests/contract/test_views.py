"""The views on a real Redis: what is written and deleted, and that nothing is forgotten while Redis is away."""

import asyncio
import itertools
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.sessions.session import Session
from gateway.views import redis_views
from gateway.views.port import ViewSettings
from gateway.views.redis_views import RedisViews
from runtime.bus.settings import BusSection
from tests.support.servers import Server, start_redis
from tests.support.wire import connection_of, open_session

SETTINGS = ViewSettings(enabled=True, ttl=60.0, gather=0.01, batch=2)


class Rig:
    """Views that run, and a second client that reads the keys."""

    def __init__(self, server: Server) -> None:
        self.server = server
        url = f"redis://{server.endpoint}"
        self.views = RedisViews(BusSection(redis=url, timeout=0.3), SETTINGS, "node-1")
        self.reader = Redis.from_url(url, decode_responses=True)
        self.running = asyncio.ensure_future(self.views.run())

    async def shown(self, session: Session) -> dict[str, str]:
        return await self.reader.hgetall(f"ws:client:{session.sid}")

    async def sids(self, key: str) -> list[str]:
        return await self.reader.zrange(key, 0, -1)

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@asynccontextmanager
async def rig_at(server: Server) -> AsyncIterator[Rig]:
    rig = Rig(server)
    yield rig
    await rig.stop()
    await rig.views.close()
    await rig.reader.aclose()


@pytest.fixture
async def rig(redis: Server) -> AsyncIterator[Rig]:
    async with rig_at(redis) as made:
        yield made


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Server]:
    with start_redis(tmp_path) as server:
        yield server


SIDS = itertools.count(1)


def client(user: str, *files: str) -> Session:
    session = open_session(next(SIDS), user)
    session.files = files
    return session


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while not await true():
            await asyncio.sleep(0.01)


async def test_a_session_is_a_hash_and_stands_in_the_sets_of_its_user_and_files(rig: Rig) -> None:
    ada, again = client("ada", "doc", "plan"), client("ada")
    connection_of(ada).seen_at = time.monotonic() - 30
    for session in (ada, again, client("bob")):
        rig.views.changed(session)
    await until(lambda: rig.shown(again))
    shown = await rig.shown(ada)
    assert json.loads(shown.pop("files")) == ["doc", "plan"]
    assert time.time() - 31 < int(shown.pop("last_seen")) / 1000 < time.time() - 29
    assert shown == {
        "user": "ada",
        "node": "node-1",
        "codec": "homing.json",
        "auth_type": "test",
        "connected_at": str(ada.connected_at),
    }
    assert await rig.sids("ws:user:clients:ada") == [str(ada.sid), str(again.sid)]
    assert await rig.sids("ws:guid:clients:plan") == [str(ada.sid)]
    assert 50_000 < await rig.reader.pttl(f"ws:client:{ada.sid}") <= 60_000


async def test_a_file_that_was_left_and_a_session_that_is_gone_are_not_shown(rig: Rig) -> None:
    eve = client("eve", "x", "y")
    rig.views.changed(eve)
    await until(lambda: rig.shown(eve))
    eve.files = ("y",)
    rig.views.changed(eve)
    await until(lambda: _absent(rig, "ws:guid:clients:x"))
    assert await rig.sids("ws:guid:clients:y") == [str(eve.sid)]
    eve.close()
    rig.views.gone(eve)
    await until(lambda: _absent(rig, "ws:user:clients:eve"))
    assert (await rig.shown(eve), await rig.sids("ws:guid:clients:y")) == ({}, [])


async def test_while_redis_is_away_the_views_wait_which_is_logged_once(
    own_redis: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.views")
    async with rig_at(own_redis) as rig:
        stays, leaves = client("ada"), client("bob")
        for session in (stays, leaves):
            rig.views.changed(session)
        await until(lambda: rig.shown(leaves))
        own_redis.kill()
        leaves.close()
        rig.views.gone(leaves)
        rig.views.changed(stays)
        await until(lambda: _logged(caplog))
        await asyncio.to_thread(own_redis.restart)
        await rig.reader.connection_pool.disconnect()
        await until(lambda: rig.shown(stays))
        assert await rig.shown(leaves) == {}
        logged = [record.message for record in caplog.records]
        assert [message.partition(",")[0] for message in logged] == ["Redis is away", "Redis is back"]


async def test_close_writes_what_is_left(own_redis: Server) -> None:
    async with rig_at(own_redis) as rig:
        ada, bob = client("ada"), client("bob")
        rig.views.changed(ada)
        await until(lambda: rig.shown(ada))
        await rig.stop()
        ada.close()
        rig.views.gone(ada)
        rig.views.changed(bob)
        await rig.views.close()
        assert (await rig.shown(ada), (await rig.shown(bob))["user"]) == ({}, "bob")


async def test_close_ends_in_time_when_redis_hangs_and_the_views_are_left_to_expire(
    own_redis: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_views, "CLOSE_WITHIN", 0.1)  # less than Redis may take for one write
    caplog.set_level("INFO", "gateway.views")
    async with rig_at(own_redis) as rig:
        ada = client("ada")
        rig.views.changed(ada)
        await until(lambda: rig.shown(ada))
        await rig.stop()
        own_redis.process.send_signal(signal.SIGSTOP)
        ada.close()
        rig.views.gone(ada)
        try:
            async with asyncio.timeout(5):
                await rig.views.close()
        finally:
            own_redis.process.send_signal(signal.SIGCONT)
        assert "they expire within 60 s" in caplog.text
        await rig.views.close()  # nothing was forgotten: what could not be deleted then is deleted now
        assert await rig.shown(ada) == {}


async def _absent(rig: Rig, key: str) -> bool:
    return not await rig.reader.exists(key)


async def _logged(caplog: pytest.LogCaptureFixture) -> bool:
    return bool(caplog.records)


async def test_after_a_restart_of_redis_without_its_data_everything_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_views, "CHECK_EVERY", 0.05)
    with start_redis(tmp_path) as server:
        async with rig_at(server) as rig:
            sessions = [open_session(sid) for sid in range(1, 6)]
            for session in sessions:
                rig.views.changed(session)
            await until_shown(rig, sessions)
            server.kill()
            server.restart()
            await until_shown(rig, sessions)  # although nothing has changed, and nothing is due


async def until_shown(rig: Rig, sessions: list[Session]) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                if all([await rig.shown(session) for session in sessions]):
                    return
            except (OSError, RedisError):
                rig.reader.connection_pool.reset()
            await asyncio.sleep(0.02)
