"""Client events through a Kafka topic: keyed by file name, else uid, the headers beside the value (docs/design.md,
"Events upstream").

Kafka's idempotent producer writes each batch once, however often it has to send it. In one round every partition gets
one batch, and the next round begins when all have answered: so a partition without a leader holds up the others for as
long, and a gateway writes at most one batch a partition in each round trip. In exchange the order of every key is kept
without any bookkeeping, also when the producer had to be replaced (then its last batches may arrive twice).
"""

import asyncio
import logging
from functools import lru_cache

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import murmur2

from observability.counters import Counters
from runtime.bus import kafka_client
from runtime.bus.settings import BusSection
from runtime.events.buffered import BufferedSink
from runtime.events.port import EventSettings, Record

log = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024  # of one batch; brokers take 1 MiB by default
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

Sent = tuple[int, list[Record], "asyncio.Future[object]"]
"""A batch under way: its partition, its records, its answer."""


class KafkaTopic(BufferedSink):
    """An `EventSink` over one Kafka topic."""

    failures = kafka_client.FAILURES

    def __init__(self, bus: BusSection, settings: EventSettings, counters: Counters) -> None:
        super().__init__(f"Kafka at {bus.kafka}", settings, counters)
        self._bus = bus
        self._producer: AIOKafkaProducer | None = None
        self._most = settings.batch  # records in one batch; fewer while the broker finds batches too large
        kafka_client.silence_client_log()

    async def open(self) -> None:
        """Raises BusUnavailable. A Kafka that is configured and not there is a mistake of the configuration."""
        await kafka_client.wait_broker(self._bus)

    async def _write(self, batch: list[Record]) -> None:
        producer = await self._connected()
        lanes = self._lanes(batch, len(await producer.partitions_for(self._settings.name)))
        try:
            sent = [await self._send(producer, partition, records) for partition, records in lanes.items()]
            await self._wait_answers(sent)
            await self._collect_results(sent, lanes)
        finally:
            batch[:] = [record for records in lanes.values() for record in records]

    def _lanes(self, batch: list[Record], partitions: int) -> dict[int, list[Record]]:
        """The records of each partition, chosen as Kafka's own clients do."""
        lanes: dict[int, list[Record]] = {}
        for record in batch:
            lanes.setdefault(_hash(record.key) % partitions, []).append(record)
        return lanes

    async def _send(self, producer: AIOKafkaProducer, partition: int, records: list[Record]) -> Sent:
        """As many as one batch holds, from the head."""
        batch = producer.create_batch()
        packed = 0
        for record in records[: self._most]:
            headers = [(name, value.encode()) for name, value in record.headers.items()]
            if batch.append(key=record.key.encode(), value=record.value, timestamp=None, headers=headers) is None:
                break
            packed += 1
        future = await producer.send_batch(batch, self._settings.name, partition=partition)
        return partition, records[:packed], future

    async def _wait_answers(self, sent: list[Sent]) -> None:
        """The producer itself tries again, for ever; all that is ours is to say it."""
        answers = [future for _, _, future in sent]
        _, silent = await asyncio.wait(answers, timeout=self._bus.timeout)
        if silent:
            self._log_away(f"no answer for {self._bus.timeout:g} s")
            await asyncio.wait(silent)

    async def _collect_results(self, sent: list[Sent], lanes: dict[int, list[Record]]) -> None:
        """What was taken leaves its lane. Raises what a broker has refused."""
        failed: BaseException | None = None
        for partition, records, future in sent:
            error = future.exception()
            failed = failed or error
            if error is None:
                self._most = min(self._settings.batch, 2 * self._most)
                self._taken(records)
            elif isinstance(error, TOO_LARGE) and len(records) == 1:
                self._give_up(records, error)
            elif isinstance(error, TOO_LARGE):
                self._most = len(records) // 2
                continue
            else:
                continue
            del lanes[partition][: len(records)]
        if failed is not None:
            await self._disconnect()  # a batch that has failed leaves a hole in the producer's numbers
            raise failed

    def _give_up(self, records: list[Record], error: KafkaError) -> None:
        """One record that this broker will never take: all behind it would wait for ever."""
        log.error("a client event of %d bytes is lost: %s", len(records[0].value), error)
        self._counters.events_lost += 1
        self._let_go(records)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await kafka_client.start_producer(self._bus, max_batch_size=BATCH_BYTES)
        return self._producer

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka_client.close_producer(producer)


@lru_cache(maxsize=16_384)
def _hash(key: str) -> int:
    """murmur2 in Python costs 3-8 us; clients have far fewer keys than events."""
    hashed: int = murmur2(key.encode()) & 0x7FFFFFFF
    return hashed
