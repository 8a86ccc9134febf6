"""A producer and a consumer for each broker, with the libraries and the calls that Homing itself uses."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

MAX_STREAM_ENTRIES = 10_000  # of a Redis stream
FIELD = b"v"

logging.getLogger("aiokafka").setLevel(logging.ERROR)


class Producer(Protocol):
    """Sends messages."""

    async def open(self) -> None: ...
    async def send(self, messages: Sequence[bytes]) -> None:
        """Send, and wait until the broker has accepted all messages."""
        ...

    async def close(self) -> None: ...


class Consumer(Protocol):
    """Receives the messages that are sent after `open`."""

    async def open(self) -> None: ...
    async def receive(self) -> list[bytes]:
        """The available messages; [] when none arrives within some 200 ms."""
        ...

    async def close(self) -> None: ...


class PubSubProducer:
    """Redis pub/sub: PUBLISH in a pipeline."""

    def __init__(self, address: str, channel: str) -> None:
        self._redis: Any = redis.asyncio.from_url(address)
        self._channel = channel

    async def open(self) -> None:
        await self._redis.ping()

    async def send(self, messages: Sequence[bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.publish(self._channel, message)
            await pipeline.execute()

    async def close(self) -> None:
        await self._redis.aclose()


class PubSubConsumer:
    """Redis pub/sub: SUBSCRIBE."""

    def __init__(self, address: str, channel: str) -> None:
        self._redis: Any = redis.asyncio.from_url(address)
        self._channel = channel
        self._subscription: Any = None

    async def open(self) -> None:
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        await self._subscription.subscribe(self._channel)
        await self._subscription.get_message(timeout=1.0)

    async def receive(self) -> list[bytes]:
        message = await self._subscription.get_message(timeout=0.2)
        return [message["data"]] if message else []

    async def close(self) -> None:
        await self._subscription.aclose()
        await self._redis.aclose()


class StreamProducer(PubSubProducer):
    """Redis Streams: XADD in a pipeline, with a maximum length."""

    async def send(self, messages: Sequence[bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.xadd(self._channel, {FIELD: message}, maxlen=MAX_STREAM_ENTRIES, approximate=True)
            await pipeline.execute()


class StreamConsumer:
    """Redis Streams: XREAD."""

    def __init__(self, address: str, stream: str) -> None:
        self._redis: Any = redis.asyncio.from_url(address)
        self._stream = stream
        self._last: Any = "0-0"  # from the start: no other run uses the stream

    async def open(self) -> None:
        await self._redis.ping()

    async def receive(self) -> list[bytes]:
        response = await self._redis.xread({self._stream: self._last}, count=500, block=200)
        if not response:
            return []
        entries = next(iter(response.values()))[0] if isinstance(response, dict) else response[0][1]  # RESP 3, RESP 2
        self._last = entries[-1][0]
        return [fields[FIELD] for _, fields in entries]

    async def close(self) -> None:
        await self._redis.delete(self._stream)
        await self._redis.aclose()


class KafkaProducer:
    """Kafka: create_batch and send_batch, idempotent, to one partition."""

    def __init__(self, address: str, topic: str) -> None:
        self._address, self._topic = address, topic
        self._producer: Any = None

    async def open(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self._topic, num_partitions=1, replication_factor=1)])
        except TopicAlreadyExistsError:
            pass  # the consumer's process created the topic
        finally:
            await admin.close()
        self._producer = AIOKafkaProducer(bootstrap_servers=self._address, enable_idempotence=True)
        await self._producer.start()

    async def send(self, messages: Sequence[bytes]) -> None:
        batch = self._producer.create_batch()
        for message in messages:
            if batch.append(key=None, value=message, timestamp=None) is None:
                await self._send_batch(batch)
                batch = self._producer.create_batch()
                batch.append(key=None, value=message, timestamp=None)
        await self._send_batch(batch)

    async def _send_batch(self, batch: Any) -> None:  # noqa: ANN401
        await (await self._producer.send_batch(batch, self._topic, partition=0))

    async def close(self) -> None:
        await self._producer.stop()


class KafkaConsumer:
    """Kafka: getmany from one partition, without a consumer group."""

    def __init__(self, address: str, topic: str) -> None:
        self._topic = topic
        self._address = address
        self._consumer: Any = None

    async def open(self) -> None:
        producer = KafkaProducer(self._address, self._topic)  # `open` creates the topic
        await producer.open()
        await producer.close()
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._address, auto_offset_reset="earliest")
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self._topic, 0)])

    async def receive(self) -> list[bytes]:
        batches = await self._consumer.getmany(timeout_ms=200, max_records=1000)
        return [record.value for records in batches.values() for record in records]

    async def close(self) -> None:
        await self._consumer.stop()


PRODUCERS: dict[str, Callable[[str, str], Producer]] = {
    "redis pub/sub": PubSubProducer,
    "redis streams": StreamProducer,
    "kafka": KafkaProducer,
}
CONSUMERS: dict[str, Callable[[str, str], Consumer]] = {
    "redis pub/sub": PubSubConsumer,
    "redis streams": StreamConsumer,
    "kafka": KafkaConsumer,
}
