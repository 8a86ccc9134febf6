"""Shell: the broadcast channel as a Kafka topic, of which one partition is used: only so does everybody hear one order.

Subscribers belong to no group and begin at the end: each hears everything. While the broker is away they keep their
place, so nothing is lost that it has taken.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from runtime.bus import kafka_client
from runtime.bus.port import LARGEST, TooLarge
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

LET_GO_WITHIN = 1.0  # seconds
AGAIN = 1.0  # seconds after which a subscriber that failed tries again
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
TOPIC = {"retention.ms": "60000", "segment.ms": "60000", "max.message.bytes": str(LARGEST)}
"""How a topic is made: nobody reads a push a second time. One that is there is left as it is."""


class KafkaPublisher:
    """A `Publisher` over one partition of a topic."""

    def __init__(self, bus: BusSection, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        await kafka_client.wait_broker(self._bus, kafka_client.START_LIMIT)
        await kafka_client.ensure_topic(self._bus, self._topic, 1, TOPIC)
        await self._connected()

    async def publish(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._bus.timeout):
                producer = await self._connected()
                await (await producer.send(self._topic, message, partition=0))
        except TOO_LARGE as error:
            await self._let_go()
            cure = f"raise max.message.bytes of the topic {self._topic}"
            raise TooLarge(f"Kafka takes no message of {len(message)} bytes ({error}); {cure}") from None
        except kafka_client.FAILURES as error:
            await self._let_go()
            raise kafka_client.away(self._bus, str(error) or type(error).__name__) from None

    async def close(self) -> None:
        await self._let_go()

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            try:
                self._producer = await kafka_client.start_producer(self._bus, max_request_size=LARGEST)
            except kafka_client.FAILURES as error:
                raise kafka_client.away(self._bus, str(error) or type(error).__name__) from None
        return self._producer

    async def _let_go(self) -> None:
        """A failed batch leaves a hole in an idempotent producer's numbers: another producer sends the next."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka_client.end_producer(producer)


class KafkaSubscriber:
    """A `Subscriber` over one partition of a topic."""

    def __init__(self, bus: BusSection, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        await kafka_client.wait_broker(self._bus, kafka_client.START_LIMIT)
        await kafka_client.ensure_topic(self._bus, self._topic, 1, TOPIC)
        try:
            self._consumer = await self._subscribe()
        except kafka_client.FAILURES as error:
            raise kafka_client.away(self._bus, str(error) or type(error).__name__) from None

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        while True:
            try:
                if self._consumer is None:
                    self._consumer = await self._subscribe()
                    log.info("Kafka is back; pushes that were published meanwhile are lost")
                await self._hear_all(self._consumer, on_message)
            except kafka_client.FAILURES as error:
                log.warning("no pushes can be heard: %s", kafka_client.away(self._bus, str(error)))
                await self.close()
                await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _stop(consumer)

    async def _subscribe(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka_client.bootstrap(self._bus),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            max_partition_fetch_bytes=LARGEST,
            request_timeout_ms=kafka_client.milliseconds(max(self._bus.timeout, 1.0)),
        )
        try:
            await consumer.start()
            partition = TopicPartition(self._topic, 0)
            consumer.assign([partition])
            await consumer.seek_to_end(partition)
            await consumer.position(partition)  # from here on, also if the broker goes before the first message
        except BaseException:
            await _stop(consumer)
            raise
        return consumer

    async def _hear_all(self, consumer: AIOKafkaConsumer, on_message: Callable[[bytes], None]) -> None:
        """For ever: the consumer finds its broker again by itself."""
        async for record in consumer:
            if record.value is not None:
                on_message(record.value)


async def _stop(client: AIOKafkaConsumer) -> None:
    with contextlib.suppress(*kafka_client.FAILURES):
        async with asyncio.timeout(LET_GO_WITHIN):
            await client.stop()
