"""Servers that many tests share: started once, when the first test asks."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from tests.support.cluster import Cluster
from tests.support.kafka import start_kafka
from tests.support.servers import Server, start_etcd, start_redis

# A shell starts what it runs in the background with SIGINT ignored, which children inherit: tests that interrupt a
# command would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine alone: hypothesis gave up on a busy one.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real etcd. Tests share it, so each takes a cluster name or key prefix of its own."""
    with start_etcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Valkey. Tests share it, so each takes keys of its own."""
    with start_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Kafka. Tests share it and break nothing, so each takes topics of its own."""
    with start_kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="session")
def _other_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_kafka(tmp_path_factory.mktemp("other-kafka")) as server:
        yield server


@pytest.fixture
def breakable_kafka(_other_kafka: Server) -> Server:
    """A real Kafka to kill and restart, with its data; alive at the start of each test."""
    if _other_kafka.process.poll() is not None:
        _other_kafka.restart()
    return _other_kafka


@pytest_asyncio.fixture
async def cluster(tmp_path: Path, etcd: Server, redis: Server) -> AsyncIterator[Cluster]:
    """A cluster of one's own, empty: for tests that break something."""
    made = Cluster(tmp_path, etcd.endpoint, redis.endpoint)
    yield made
    await made.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory, etcd: Server, redis: Server) -> AsyncIterator[Cluster]:
    """Three gateways, g0 to g2, and a router, shared by a module whose tests take users and files of their own."""
    made = Cluster(tmp_path_factory.mktemp("three"), etcd.endpoint, redis.endpoint)
    await asyncio.gather(
        *(made.start_gateway("--node-id", f"g{number}", "--set", "gateway.max_message=65536") for number in range(3))
    )
    made.gateways.sort(key=lambda gateway: gateway.node)
    await made.start_router()
    yield made
    await made.stop()
