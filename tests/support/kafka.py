"""A real Kafka for tests: the broker that `make kafka` brings, on loopback, its data kept over kill and restart."""

import contextlib
import random
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from homing.cluster import kafka
from homing.cluster.errors import CommandError
from tests.support.servers import Server

READY_WITHIN = 60.0  # seconds
RETURNS_SOON = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "200"}
"""A broker that was killed may register again only when its old session is over: after 9 s, unless told otherwise."""


def require_kafka() -> tuple[str, Path]:
    """A Java and Kafka's jars. The test is skipped, with the reason, where there are none."""
    try:
        return kafka.find_java(), kafka.find_libs()
    except CommandError as trouble:
        pytest.skip(str(trouble))


def start_kafka(directory: Path) -> Server:
    """One broker, ready; or the test is skipped."""
    java, libs = require_kafka()
    port = _own_port()
    file = kafka.write_properties(directory, port, _own_port(), RETURNS_SOON)
    tool = ("kafka.tools.StorageTool", "format", "-t", kafka.cluster_id(), "-c", str(file))
    subprocess.run(kafka.java_command(java, libs, *tool), check=True, capture_output=True, timeout=60)
    command = kafka.java_command(java, libs, "kafka.Kafka", str(file))
    return Server(command, port, _ready, directory / "kafka.log", READY_WITHIN)


def _own_port() -> int:
    """A free port that the kernel gives to nobody who connects: it must still be free when a killed broker returns.

    A client that tries a dead port of the kernel's own range again and again may even connect to itself.
    """
    while True:
        port = random.randrange(15_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(kafka.METADATA_REQUEST)
            return kafka.lists_a_broker(connection.recv(12, socket.MSG_WAITALL))
    except OSError:
        return False


@contextlib.asynccontextmanager
async def reading(endpoint: str, topic: str, **settings: object) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of a topic, from its beginning."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=endpoint, auto_offset_reset="earliest", metadata_max_age_ms=1000, **settings
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read(endpoint: str, topic: str, number: int) -> list[ConsumerRecord]:
    """The first `number` records of a topic, as soon as they are there, in the order of each partition."""
    async with reading(endpoint, topic) as consumer:
        return [await consumer.getone() for _ in range(number)]


@contextlib.asynccontextmanager
async def producing(endpoint: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as a backend has one."""
    producer = AIOKafkaProducer(bootstrap_servers=endpoint)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def flags(server: Server) -> tuple[str, ...]:
    """What makes a gateway or a router use this Kafka."""
    return ("--set", "bus.kind=kafka", "--set", f"bus.kafka={server.endpoint}")


def headers(record: ConsumerRecord) -> dict[str, str]:
    """A record's headers as text."""
    return {name: value.decode() for name, value in record.headers}
