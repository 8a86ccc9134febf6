"""Shell: what every client of Kafka needs: addresses, a check that a broker answers, topics, producers.

To import this costs aiokafka (20 MiB): only composition roots do, and the adapters that they choose.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from runtime.bus.port import BusUnavailable
from runtime.bus.settings import BusSection

START_TIMEOUT = 3.0  # seconds that a starting service waits for a broker
CLOSE_TIMEOUT = 1.0  # seconds
RETRY_PAUSE = 0.2  # seconds between two attempts to reach a broker
FAILURES = (KafkaError, OSError, TimeoutError)
"""What aiokafka raises while Kafka is unavailable."""


def bootstrap_servers(bus: BusSection) -> list[str]:
    """Kafka's addresses for the first connection."""
    return [address.strip() for address in bus.kafka.split(",") if address.strip()]


def unavailable(bus: BusSection, reason: str) -> BusUnavailable:
    """The error when no broker answers: the addresses, and how one is started."""
    remedy = (
        "is Kafka running? `homing up --bus kafka` starts one, --kafka HOST:PORT names yours, --bus redis goes without"
    )
    return BusUnavailable(f"bus.kafka: {bus.kafka} does not answer ({reason}); {remedy}")


def silence_client_log() -> None:
    """Disable aiokafka's log, ten lines a second while Kafka is unavailable. Its users log the change once."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def milliseconds(seconds: float) -> int:
    """A duration for aiokafka."""
    return max(1, round(seconds * 1000))


async def wait_broker(bus: BusSection, timeout: float = START_TIMEOUT) -> None:
    """Until a broker answers. Retries; after `timeout` seconds BusUnavailable."""
    silence_client_log()
    reason = "no answer"
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    await _fetch_metadata(bus)
                except FAILURES as error:
                    reason = _describe(error)
                    await asyncio.sleep(RETRY_PAUSE)
                else:
                    return
    except TimeoutError:
        raise unavailable(bus, reason) from None


async def check(bus: BusSection) -> None:
    """One metadata request over a new connection. Raises BusUnavailable."""
    silence_client_log()
    try:
        async with asyncio.timeout(2 * bus.timeout):
            await _fetch_metadata(bus)
    except FAILURES as error:
        raise unavailable(bus, _describe(error)) from None


async def ensure_topic(
    bus: BusSection, name: str, partitions: int = -1, settings: Mapping[str, str] | None = None
) -> None:
    """Create a topic unless it exists, with the broker's default replication. Raises BusUnavailable.

    `partitions`: -1 is the broker's default.
    """
    client = _admin(bus)
    topic = NewTopic(name, 1, 1, topic_configs=dict(settings or {}))
    topic.num_partitions, topic.replication_factor = partitions, -1  # KIP-464, which NewTopic's own check rejects
    try:
        await client.start()
        response = await client.create_topics([topic])
        for _, code, *_ in response.topic_errors:
            if (kind := for_code(code)) not in (TopicAlreadyExistsError, for_code(0)):
                raise kind(name)
    except FAILURES as error:
        raise unavailable(bus, _describe(error)) from None
    finally:
        await client.close()


async def start_producer(bus: BusSection, **settings: object) -> AIOKafkaProducer:
    """Start an idempotent producer: it retries for ever, and writes each batch once. Raises one of FAILURES."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers(bus),
        enable_idempotence=True,
        request_timeout_ms=milliseconds(bus.timeout),
        **settings,
    )
    try:
        async with asyncio.timeout(2 * bus.timeout):
            await producer.start()
    except BaseException:
        await close_producer(producer)
        raise
    return producer


async def close_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer within a second; what it has not sent is dropped."""
    if sender := producer._sender.sender_task:
        sender.cancel()  # else `stop` waits until everything is sent: for ever while Kafka is unavailable
    with contextlib.suppress(*FAILURES):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await producer.stop()


async def _fetch_metadata(bus: BusSection) -> None:
    """One metadata request: an open port alone is no broker."""
    client = _admin(bus)
    try:
        await client.start()
    finally:
        await client.close()


def _admin(bus: BusSection) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers(bus), request_timeout_ms=milliseconds(bus.timeout))


def _describe(error: BaseException) -> str:
    text = str(error)
    if not text or "Unable to bootstrap" in text:
        return "nobody listens there, or nobody that speaks Kafka"
    return text
