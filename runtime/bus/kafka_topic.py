"""Shell: the broadcast channel as a Kafka topic. Only one partition is used: so all subscribers have one order.

Subscribers belong to no consumer group and begin at the end of the partition, so each receives everything. They keep
their offset while Kafka is unavailable: nothing is lost that Kafka has accepted.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from runtime.bus import kafka_client
from runtime.bus.port import MAX_MESSAGE_SIZE, BusMessageTooLarge
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

RETRY_PAUSE = 1.0  # seconds after which a failed subscriber subscribes again
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
TOPIC_SETTINGS = {"retention.ms": "60000", "segment.ms": "60000", "max.message.bytes": str(MAX_MESSAGE_SIZE)}
"""Of a topic that is created here: a push is read once."""


class KafkaPublisher:
    """A `Publisher` over one partition of a topic."""

    def __init__(self, bus: BusSection, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        await kafka_client.wait_broker(self._bus, kafka_client.START_TIMEOUT)
        await kafka_client.ensure_topic(self._bus, self._topic, 1, TOPIC_SETTINGS)
        await self._started_producer()

    async def publish(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._bus.timeout):
                producer = await self._started_producer()
                await (await producer.send(self._topic, message, partition=0))
        except TOO_LARGE as error:
            await self._close_producer()
            remedy = f"raise max.message.bytes of the topic {self._topic}"
            raise BusMessageTooLarge(f"Kafka takes no message of {len(message)} bytes ({error}); {remedy}") from None
        except kafka_client.FAILURES as error:
            await self._close_producer()
            raise _unavailable(self._bus, error) from None

    async def close(self) -> None:
        await self._close_producer()

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            try:
                self._producer = await kafka_client.start_producer(self._bus, max_request_size=MAX_MESSAGE_SIZE)
            except kafka_client.FAILURES as error:
                raise _unavailable(self._bus, error) from None
        return self._producer

    async def _close_producer(self) -> None:
        """A failed batch leaves a gap in an idempotent producer's sequence: the next message needs another one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka_client.close_producer(producer)


class KafkaSubscriber:
    """A `Subscriber` over one partition of a topic."""

    def __init__(self, bus: BusSection, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        await kafka_client.wait_broker(self._bus, kafka_client.START_TIMEOUT)
        await kafka_client.ensure_topic(self._bus, self._topic, 1, TOPIC_SETTINGS)
        try:
            self._consumer = await self._subscribe()
        except kafka_client.FAILURES as error:
            raise _unavailable(self._bus, error) from None

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        while True:
            try:
                if self._consumer is None:
                    self._consumer = await self._subscribe()
                    log.info("subscribed to Kafka again; pushes that were published meanwhile are lost")
                await self._receive(self._consumer, on_message)
            except kafka_client.FAILURES as error:
                log.warning("no pushes are received: %s", _unavailable(self._bus, error))
                await self.close()
                await asyncio.sleep(RETRY_PAUSE)

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _stop(consumer)

    async def _subscribe(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka_client.bootstrap_servers(self._bus),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            max_partition_fetch_bytes=MAX_MESSAGE_SIZE,
            request_timeout_ms=kafka_client.milliseconds(max(self._bus.timeout, 1.0)),
        )
        try:
            await consumer.start()
            partition = TopicPartition(self._topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_end(partition)
            await consumer.position(partition)  # fixes the offset, also if Kafka fails before the first message
        except BaseException:
            await _stop(consumer)
            raise
        return consumer

    async def _receive(self, consumer: AIOKafkaConsumer, on_message: Callable[[bytes], None]) -> None:
        """For ever: the consumer reconnects by itself."""
        async for record in consumer:
            if record.value is not None:
                on_message(record.value)


async def _stop(consumer: AIOKafkaConsumer) -> None:
    with contextlib.suppress(*kafka_client.FAILURES):
        async with asyncio.timeout(kafka_client.CLOSE_TIMEOUT):
            await consumer.stop()


def _unavailable(bus: BusSection, error: BaseException) -> Exception:
    return kafka_client.unavailable(bus, str(error) or type(error).__name__)
