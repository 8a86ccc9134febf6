"""Shell: what all that speak to Kafka share: where it is, whether it answers, its topics, and its client's own log.

Importing this costs aiokafka (20 MiB), so only composition roots and the adapters that they choose do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from runtime.bus.port import BusAway
from runtime.bus.settings import BusSection

START_LIMIT = 3.0  # seconds in which a service that starts waits for a broker
LET_GO_WITHIN = 1.0  # seconds
FAILURES = (KafkaError, OSError, TimeoutError)
"""What aiokafka raises while a broker is away."""


def bootstrap(bus: BusSection) -> list[str]:
    """The brokers to ask first."""
    return [address.strip() for address in bus.kafka.split(",") if address.strip()]


def away(bus: BusSection, why: str) -> BusAway:
    """No broker answers: which were asked, and how one is started."""
    cure = (
        "is Kafka running? `homing up --bus kafka` starts one, --kafka HOST:PORT names yours, --bus redis goes without"
    )
    return BusAway(f"bus.kafka: {bus.kafka} does not answer ({why}); {cure}")


def quiet() -> None:
    """aiokafka says the same line ten times a second while a broker is away; its users say it once, in their words."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def milliseconds(seconds: float) -> int:
    """As aiokafka takes durations."""
    return max(1, round(seconds * 1000))


async def wait_broker(bus: BusSection, within: float = START_LIMIT) -> None:
    """Until a broker answers; tries again meanwhile. Raises BusAway after `within` seconds."""
    quiet()
    why = "no answer"
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    await _ask(bus)
                except FAILURES as error:
                    why = _in_words(error)
                    await asyncio.sleep(0.2)
                else:
                    return
    except TimeoutError:
        raise away(bus, why) from None


async def ensure_topic(
    bus: BusSection, name: str, partitions: int = -1, settings: Mapping[str, str] | None = None
) -> None:
    """Make a topic, with the broker's own number of replicas; one that is there is left as it is. Raises BusAway.

    `partitions`: -1 is the broker's own number of these, too.
    """
    client = _admin(bus)
    topic = NewTopic(name, 1, 1, topic_configs=dict(settings or {}))
    topic.num_partitions, topic.replication_factor = partitions, -1  # KIP-464: NewTopic's check does not know it
    try:
        await client.start()
        answer = await client.create_topics([topic])
        for _, code, *_ in answer.topic_errors:
            if (kind := for_code(code)) not in (TopicAlreadyExistsError, for_code(0)):
                raise kind(name)
    except FAILURES as error:
        raise away(bus, _in_words(error)) from None
    finally:
        await client.close()


async def start_producer(bus: BusSection, **settings: object) -> AIOKafkaProducer:
    """An idempotent producer: it tries again for ever, and writes each batch once. Raises one of FAILURES."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap(bus),
        enable_idempotence=True,
        request_timeout_ms=milliseconds(bus.timeout),
        **settings,
    )
    try:
        async with asyncio.timeout(2 * bus.timeout):
            await producer.start()
    except BaseException:
        await end_producer(producer)
        raise
    return producer


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Let go of it, within a second; what it has not sent is given up."""
    if sender := producer._sender.sender_task:
        sender.cancel()  # or `stop` waits until everything is sent, for ever while the broker is away
    with contextlib.suppress(*FAILURES):
        async with asyncio.timeout(LET_GO_WITHIN):
            await producer.stop()


async def _ask(bus: BusSection) -> None:
    """One metadata request: an open port alone is no broker."""
    client = _admin(bus)
    try:
        await client.start()
    finally:
        await client.close()


def _admin(bus: BusSection) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(bootstrap_servers=bootstrap(bus), request_timeout_ms=milliseconds(bus.timeout))


def _in_words(error: BaseException) -> str:
    text = str(error)
    if not text or "Unable to bootstrap" in text:
        return "nobody listens there, or nobody that speaks Kafka"
    return text
