"""The article's Redis keys, read with another client: there while a session is, gone with it, gone with its node."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from tests.support.cluster import Cluster, connect

TTL = 2.0
FLAGS = ("views.enabled=true", f"views.ttl={TTL}", "views.refresh=0.5", "views.gather=0.02")


pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def viewed(cluster: Cluster) -> Cluster:
    flags = [part for setting in FLAGS for part in ("--set", setting)]
    await asyncio.gather(cluster.start_gateway(*flags), cluster.start_gateway(*flags))
    await cluster.start_router()
    return cluster


async def until(true: Callable[[], Awaitable[bool]], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not await true():
            await asyncio.sleep(0.02)


async def test_a_session_is_shown_with_its_files_and_gone_when_it_leaves(viewed: Cluster) -> None:
    async with Redis.from_url(f"redis://{viewed.redis}", decode_responses=True) as redis:
        user, doc = f"ada-{viewed.name}", f"doc-{viewed.name}"
        async with connect(viewed, viewed.gateways[0], user, doc) as ada:
            sid = str(ada.sid)
            await until(lambda: shows(redis, f"ws:guid:clients:{doc}", sid))
            shown = await redis.hgetall(f"ws:client:{sid}")
            assert int(shown.pop("connected_at")) > 1_700_000_000_000
            assert int(shown.pop("last_seen")) > 1_700_000_000_000
            assert json.loads(shown.pop("files")) == [doc]
            assert shown == {"user": user, "node": viewed.gateways[0].node, "codec": "homing.json", "auth_type": "test"}
            assert await shows(redis, f"ws:user:clients:{user}", sid)
            await ada.ask(type="leave", file=doc)
            await until(lambda: absent(redis, f"ws:guid:clients:{doc}", sid))
            assert await shows(redis, f"ws:user:clients:{user}", sid)
        await until(lambda: absent(redis, f"ws:user:clients:{user}", sid))
        assert not await redis.exists(f"ws:client:{sid}")


async def test_what_a_killed_node_showed_is_gone_within_the_ttl_and_other_nodes_sessions_stay(viewed: Cluster) -> None:
    async with Redis.from_url(f"redis://{viewed.redis}", decode_responses=True) as redis:
        user = f"bob-{viewed.name}"
        key = f"ws:user:clients:{user}"
        async with connect(viewed, viewed.gateways[1], user) as stays:
            async with connect(viewed, viewed.gateways[0], user) as dies:
                await until(lambda: shows(redis, key, str(dies.sid)))
                await until(lambda: shows(redis, key, str(stays.sid)))
                await viewed.gateways[0].kill()
            began = asyncio.get_running_loop().time()
            await until(lambda: absent(redis, key, str(dies.sid)), within=TTL + 2)
            assert not await redis.exists(f"ws:client:{dies.sid}")
            while asyncio.get_running_loop().time() < began + TTL + 1:  # refreshed, though nothing has changed
                assert await shows(redis, key, str(stays.sid))
                await asyncio.sleep(0.1)
            assert await redis.exists(f"ws:client:{stays.sid}")


async def shows(redis: Redis, key: str, sid: str) -> bool:
    return await redis.zscore(key, sid) is not None


async def absent(redis: Redis, key: str, sid: str) -> bool:
    return await redis.zscore(key, sid) is None
