"""`/readyz` of real services while what they need, or go on without, is away."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runtime.bus import probe
from tests.support.cluster import Cluster, Service, connect
from tests.support.servers import Server, start_etcd, start_redis

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def readyz(service: Service) -> AsyncIterator[Any]:
    """A function that returns status and body of one request."""
    async with aiohttp.ClientSession(f"http://{service.facts['admin']}") as http:

        async def get() -> tuple[int, dict[str, Any]]:
            async with http.get("/readyz") as response:
                return response.status, await response.json()

        yield get


async def wait_named(get: Any, text: str) -> tuple[int, dict[str, Any]]:
    """The first answer that names `text`; "": the first that names nothing."""
    async with asyncio.timeout(probe.INTERVAL + 15):
        while True:
            status, body = await get()
            named = [body["why"], *body["degraded"]]
            if any(text in one for one in named) if text else not any(named):
                return status, body
            await asyncio.sleep(0.05)


async def test_a_gateway_and_a_router_name_each_other(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    async with readyz(gateway) as get:
        status, _ = await wait_named(get, "no router has opened a stream")
        assert status == 200
        router = await cluster.start_router()
        assert (await wait_named(get, ""))[0] == 200
    async with readyz(router) as get:
        assert (await wait_named(get, ""))[0] == 200
        gateway.signal(signal.SIGSTOP)
        status, _ = await wait_named(get, f"1 of 1 gateways do not answer: {gateway.node}")
        assert status == 200
        gateway.signal(signal.SIGCONT)
        await wait_named(get, "")
        await gateway.stop()
        status, _ = await wait_named(get, "no gateway is registered")
        assert status == 200


async def test_redis_that_dies_is_named_and_clients_still_come(cluster: Cluster, tmp_path: Path) -> None:
    redis = start_redis(tmp_path)
    flags = ("--set", f"bus.redis=redis://{redis.endpoint}")
    gateway = await cluster.start_gateway(*flags)
    router = await cluster.start_router(*flags, "--set", "delivery.mode=broadcast")
    async with readyz(gateway) as at_gateway, readyz(router) as at_router:
        await wait_named(at_gateway, "")
        redis.kill()
        for get in (at_gateway, at_router):
            status, _ = await wait_named(get, f"bus.redis: redis://{redis.endpoint} does not answer")
            assert status == 200
        async with connect(cluster, gateway, "ada"):
            pass


async def test_etcd_that_is_silent_is_named_and_clients_still_come(tmp_path: Path, redis: Server) -> None:
    with start_etcd(tmp_path) as etcd:
        cluster = Cluster(tmp_path, etcd.endpoint, redis.endpoint)
        gateway, router = await cluster.start_gateway(), await cluster.start_router()
        async with readyz(gateway) as at_gateway, readyz(router) as at_router:
            await wait_named(at_gateway, "")
            os.kill(etcd.pid, signal.SIGSTOP)
            try:
                for get in (at_gateway, at_router):
                    await wait_named(get, f"etcd at {etcd.endpoint} does not answer")
                await asyncio.sleep(cluster.registry["ttl"])  # until the lease may be over, and the routers are asked
                assert (await at_gateway())[0] == 200
                async with connect(cluster, gateway, "ada"):
                    pass
            finally:
                os.kill(etcd.pid, signal.SIGCONT)
        await cluster.stop()
