"""Shell: the dead-letter topic: records that cannot be carried out, each with the reason and where it stood."""

import asyncio
import logging

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from router.commands.command import Origin, dead_headers
from router.push import CallRefused
from runtime.bus import kafka_client
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two tries while Kafka is away


class DeadLetters:
    """Writes one at a time: they are rare."""

    def __init__(self, bus: BusSection, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._one = asyncio.Lock()

    async def bury(self, record: ConsumerRecord, origin: Origin, refused: CallRefused) -> None:
        """Until Kafka has it, however long that takes: the record's offset must not be committed before."""
        log.warning("a command is dead: %s: %s: %s", origin.push_id, refused.code, refused)
        headers, ours = dead_headers(record.headers, refused, origin), dead_headers((), refused, origin)
        value = record.value if record.value is not None or record.key is not None else b""  # aiokafka wants either
        # With ours beside it, it may be too large for Kafka: then less of it. The origin says where it stands.
        forms = iter([(value, record.key, headers), (b"", record.key, headers), (b"", None, ours)])
        form = next(forms)
        async with self._one:
            while True:
                value, key, shown = form
                try:
                    self._producer = self._producer or await kafka_client.start_producer(self._bus)
                    await self._producer.send_and_wait(self._topic, value, key, headers=shown)
                except (MessageSizeTooLargeError, RecordListTooLargeError):
                    await self.close()
                    smaller = next(forms, None)
                    if smaller is None:
                        log.error("a dead letter is lost, Kafka takes not even its headers: %s", origin)
                        return
                    form = smaller
                except kafka_client.FAILURES as error:
                    log.warning("a dead letter waits for Kafka at %s: %s", self._bus.kafka, error)
                    await self.close()
                    await asyncio.sleep(PAUSE)
                else:
                    return

    async def close(self) -> None:
        """Let go of the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka_client.end_producer(producer)
