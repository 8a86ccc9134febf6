"""Shell: the dead-letter topic: records that cannot be executed, with the reason and the origin."""

import asyncio
import logging
from collections.abc import Iterator
from typing import NamedTuple

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from router.commands.command import Header, Origin, dead_letter_headers
from router.push import CallRefused
from runtime.bus import kafka_client
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

RETRY_PAUSE = 0.5  # seconds between two tries while Kafka is away


class DeadLetter(NamedTuple):
    """One record of the dead-letter topic."""

    value: bytes | None
    key: bytes | None
    headers: list[Header]


class DeadLetters:
    """Writes dead letters, one at a time: they are rare."""

    def __init__(self, bus: BusSection, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def write_dead_letter(self, record: ConsumerRecord, origin: Origin, refused: CallRefused) -> None:
        """Until Kafka has accepted the letter, however long: the record's offset must not be committed before."""
        log.warning("a command is dead: %s: %s: %s", origin.push_id, refused.code, refused)
        letters = _letters(record, origin, refused)
        letter = next(letters)
        async with self._lock:
            while True:
                try:
                    self._producer = self._producer or await kafka_client.start_producer(self._bus)
                    await self._producer.send_and_wait(self._topic, letter.value, letter.key, headers=letter.headers)
                except (MessageSizeTooLargeError, RecordListTooLargeError):
                    await self.close()
                    smaller = next(letters, None)
                    if smaller is None:
                        log.error("a dead letter is lost, Kafka does not accept even its headers: %s", origin)
                        return
                    letter = smaller
                except kafka_client.FAILURES as error:
                    log.warning("a dead letter waits for Kafka at %s: %s", self._bus.kafka, error)
                    await self.close()
                    await asyncio.sleep(RETRY_PAUSE)
                else:
                    return

    async def close(self) -> None:
        """Close the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka_client.close_producer(producer)


def _letters(record: ConsumerRecord, origin: Origin, refused: CallRefused) -> Iterator[DeadLetter]:
    """The letter, then smaller ones, because with the added headers it may be too large for Kafka."""
    headers = dead_letter_headers(record.headers, refused, origin)
    value = record.value if record.value is not None or record.key is not None else b""  # aiokafka needs one of the two
    yield DeadLetter(value, record.key, headers)
    yield DeadLetter(b"", record.key, headers)
    yield DeadLetter(b"", None, dead_letter_headers((), refused, origin))
