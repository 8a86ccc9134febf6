"""A producer's and a consumer's link to each broker, with the libraries and the calls that Homing itself uses."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

KEPT = 10_000  # entries of a Redis stream that stay
FIELD = b"v"

logging.getLogger("aiokafka").setLevel(logging.ERROR)


class Producer(Protocol):
    """Sends."""

    async def open(self) -> None: ...
    async def send(self, messages: Sequence[bytes]) -> None:
        """Until the broker has taken all of them."""
        ...

    async def close(self) -> None: ...


class Consumer(Protocol):
    """Receives what is sent after `open`."""

    async def open(self) -> None: ...
    async def receive(self) -> list[bytes]:
        """What is there, within a moment maybe nothing."""
        ...

    async def close(self) -> None: ...


class PubSubProducer:
    """PUBLISH in a pipeline."""

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
    """SUBSCRIBE."""

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
    """XADD in a pipeline; the stream is kept short."""

    async def send(self, messages: Sequence[bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.xadd(self._channel, {FIELD: message}, maxlen=KEPT, approximate=True)
            await pipeline.execute()


class StreamConsumer:
    """XREAD."""

    def __init__(self, address: str, stream: str) -> None:
        self._redis: Any = redis.asyncio.from_url(address)
        self._stream = stream
        self._last: Any = "0-0"  # the stream is this run's own

    async def open(self) -> None:
        await self._redis.ping()

    async def receive(self) -> list[bytes]:
        answer = await self._redis.xread({self._stream: self._last}, count=500, block=200)
        if not answer:
            return []
        entries = next(iter(answer.values()))[0] if isinstance(answer, dict) else answer[0][1]  # RESP 3, RESP 2
        self._last = entries[-1][0]
        return [fields[FIELD] for _, fields in entries]

    async def close(self) -> None:
        await self._redis.delete(self._stream)
        await self._redis.aclose()


class KafkaProducer:
    """create_batch and send_batch, idempotent, to one partition."""

    def __init__(self, address: str, topic: str) -> None:
        self._address, self._topic = address, topic
        self._producer: Any = None

    async def open(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self._topic, num_partitions=1, replication_factor=1)])
        except TopicAlreadyExistsError:
            pass  # the consumer's process was first
        finally:
            await admin.close()
        self._producer = AIOKafkaProducer(bootstrap_servers=self._address, enable_idempotence=True)
        await self._producer.start()

    async def send(self, messages: Sequence[bytes]) -> None:
        batch = self._producer.create_batch()
        for message in messages:
            if batch.append(key=None, value=message, timestamp=None) is None:
                await self._put(batch)
                batch = self._producer.create_batch()
                batch.append(key=None, value=message, timestamp=None)
        await self._put(batch)

    async def _put(self, batch: Any) -> None:  # noqa: ANN401
        await (await self._producer.send_batch(batch, self._topic, partition=0))

    async def close(self) -> None:
        await self._producer.stop()


class KafkaConsumer:
    """getmany from the partition, no group."""

    def __init__(self, address: str, topic: str) -> None:
        self._topic = topic
        self._address = address
        self._consumer: Any = None

    async def open(self) -> None:
        maker = KafkaProducer(self._address, self._topic)  # whose `open` makes the topic
        await maker.open()
        await maker.close()
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._address, auto_offset_reset="earliest")
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self._topic, 0)])

    async def receive(self) -> list[bytes]:
        found = await self._consumer.getmany(timeout_ms=200, max_records=1000)
        return [record.value for records in found.values() for record in records]

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
