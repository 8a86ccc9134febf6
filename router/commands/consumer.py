"""Shell: commands from a Kafka topic: read by all routers as one group, committed when they are carried out.

At least once: what was under way when a router died is done again, and a push has the same id then, so that its
receivers can tell.
Commands with the same key are carried out one after another, in the topic's order; others at the same time, up to
`[commands] in_flight`, and then nothing more is read.
"""

import asyncio
import contextlib
import logging
import time

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, IllegalStateError, UnsupportedCodecError

from observability.counters import Counters
from router.commands.command import Origin, as_text
from router.commands.dead import DeadLetters
from router.commands.dispatch import CommandDispatcher
from router.commands.offsets import PartitionOffsets
from router.commands.settings import CommandSettings
from router.push import CallRefused
from runtime.bus import kafka_client
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

COMMIT_EVERY = 0.2  # seconds, at most that often
END_WITHIN = 2.0  # seconds for commands under way, at a stop or when another router gets their partition
LET_GO_WITHIN = 1.0  # seconds to leave the group
AWAY_AFTER = 3.0  # seconds without an answer; an idle broker gives one every half second
PAUSE = 0.5  # seconds between two tries while Kafka is away
SESSION = 6_000  # ms, Kafka's least: a router that has died is noticed after that
AGAIN = 300  # ms for a partition to be fetched again; what raised was thrown away by the client
LONG = 3_600_000  # ms; being full for long is no reason to leave the group

UNREADABLE = (UnicodeDecodeError, CorruptRecordException, UnsupportedCodecError)
"""What aiokafka raises for a record that it cannot take apart; it would raise it again for ever."""

Key = tuple[TopicPartition, bytes]


class KafkaCommands(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads, carries out, commits."""

    def __init__(
        self, bus: BusSection, settings: CommandSettings, carrier: CommandDispatcher, counters: Counters
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._carrier = carrier
        self._counters = counters
        self._progress: dict[TopicPartition, PartitionOffsets] = {}
        self._last: dict[Key, asyncio.Task[None]] = {}
        self._under_way: dict[asyncio.Task[None], TopicPartition] = {}
        self._ended = asyncio.Event()
        self._room = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._dead = DeadLetters(bus, settings.dead)
        self._away = False

    async def open(self) -> None:
        """Find Kafka, and the topic, which is made if there is none. Raises BusAway."""
        await kafka_client.wait_broker(self._bus)
        await kafka_client.ensure_topic(self._bus, self._settings.topic)

    async def run(self) -> None:
        """Carry out commands, for ever; while Kafka is away, wait for it."""
        consumer = await self._started()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_committing(consumer))
            while True:
                await self._wait_room()
                room = self._settings.in_flight - len(self._under_way)
                read = await self._read(consumer, room)
                for partition, records in read.items():
                    for record in records:
                        self._begin(partition, record)
                if not read or self._away:
                    self._notice(consumer)

    async def close(self) -> None:
        """After `run` was cancelled: let what is under way end, commit, leave the group."""
        tasks = list(self._under_way)
        await _wait_end(tasks)
        for task in tasks:
            task.cancel()
        if self._consumer is not None:
            with contextlib.suppress(*kafka_client.FAILURES):
                async with asyncio.timeout(LET_GO_WITHIN):
                    await self._commit(self._consumer)
                    await self._consumer.stop()
        await self._dead.close()

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Other routers take these over, and do again what is not committed."""
        await _wait_end([task for task, partition in self._under_way.items() if partition in revoked])
        if self._consumer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN):
                    await self._commit(self._consumer)
        for partition in revoked:
            self._progress.pop(partition, None)

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """They begin where their offsets were committed."""

    async def _started(self) -> AIOKafkaConsumer:
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            pause = PAUSE
            self._consumer = self._make_consumer()
            self._consumer.subscribe([self._settings.topic], listener=self)
            try:
                await self._consumer.start()
            except kafka_client.FAILURES as error:
                log.warning("Kafka at %s is away, no commands are heard: %s", self._bus.kafka, error)
                await self._consumer.stop()
            else:
                return self._consumer

    def _make_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=kafka_client.bootstrap(self._bus),
            group_id=self._settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what was said before the first router came was said to it
            isolation_level="read_committed",
            max_poll_interval_ms=LONG,
            rebalance_timeout_ms=10_000,
            session_timeout_ms=SESSION,
            heartbeat_interval_ms=SESSION // 3,
            metadata_max_age_ms=30_000,
        )

    async def _read(self, consumer: AIOKafkaConsumer, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            read: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(timeout_ms=500, max_records=most)
        except UNREADABLE:
            return await self._read_around(consumer, most)
        except kafka_client.FAILURES as error:
            log.warning("commands cannot be read from Kafka at %s: %r", self._bus.kafka, error)
            await asyncio.sleep(PAUSE)
            return {}
        return read

    async def _read_around(self, consumer: AIOKafkaConsumer, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Partition by partition; a record that cannot be taken apart is passed over, counted and named in the log.

        It cannot be buried: nobody can say what it is.
        """
        read: dict[TopicPartition, list[ConsumerRecord]] = {}
        for partition in consumer.assignment():
            try:
                read |= await consumer.getmany(partition, timeout_ms=AGAIN, max_records=max(1, most // 8))
            except UNREADABLE as error:
                offset = await consumer.position(partition)
                consumer.seek(partition, offset + 1)
                self._counters.commands_dead += 1
                log.error("%s %d: record %d cannot be read: %r", partition.topic, partition.partition, offset, error)
            except kafka_client.FAILURES as error:
                log.warning("commands cannot be read from Kafka at %s: %r", self._bus.kafka, error)
        return read

    def _notice(self, consumer: AIOKafkaConsumer) -> None:
        """Whether brokers still answer, said once: the client tries again by itself, and keeps quiet about it."""
        answered = [at for tp in consumer.assignment() if (at := consumer.last_poll_timestamp(tp))]
        away = bool(answered) and time.time() - max(answered) / 1000 > AWAY_AFTER
        if away and not self._away:
            log.warning("Kafka at %s is away, no commands are heard", self._bus.kafka)
        elif self._away and not away:
            log.info("Kafka at %s is back", self._bus.kafka)
        self._away = away

    async def _wait_room(self) -> None:
        while len(self._under_way) >= self._settings.in_flight:
            self._room.clear()
            await self._room.wait()

    def _begin(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        progress = self._progress.setdefault(partition, PartitionOffsets())
        progress.begin(record.offset)
        lane = None if record.key is None else (partition, record.key)
        task = asyncio.create_task(self._carry(record, progress, self._last.get(lane) if lane else None))
        self._under_way[task] = partition
        if lane:
            self._last[lane] = task
        task.add_done_callback(lambda ended: self._forget(ended, lane))

    def _forget(self, task: "asyncio.Task[None]", lane: Key | None) -> None:
        del self._under_way[task]
        self._room.set()
        if lane and self._last.get(lane) is task:
            del self._last[lane]
        if not task.cancelled() and (error := task.exception()):
            log.critical("a command's own task has failed", exc_info=error)

    async def _carry(
        self, record: ConsumerRecord, progress: PartitionOffsets, before: "asyncio.Task[None] | None"
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        origin = Origin(record.topic, record.partition, record.offset)
        try:
            await self._carrier.carry(as_text(record.headers), record.value, origin)
        except CallRefused as refused:
            await self._bury(record, origin, refused)
        except Exception:
            log.exception("a command failed by a fault of ours: %s", origin)
            await self._bury(record, origin, CallRefused("INTERNAL", "the router failed; it is not your fault"))
        else:
            self._counters.commands_done += 1
        progress.end(record.offset)
        self._ended.set()

    async def _bury(self, record: ConsumerRecord, origin: Origin, refused: CallRefused) -> None:
        await self._dead.bury(record, origin, refused)
        self._counters.commands_dead += 1

    async def _keep_committing(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._ended.wait()
            self._ended.clear()
            pause = COMMIT_EVERY
            if not await self._commit(consumer):
                self._ended.set()
                pause = PAUSE
            await asyncio.sleep(pause)

    async def _commit(self, consumer: AIOKafkaConsumer) -> bool:
        """Commit what has ended. False: Kafka did not take it; what is not committed will be done again."""
        offsets = {tp: offset for tp, progress in self._progress.items() if (offset := progress.to_commit) is not None}
        if not offsets:
            return True
        try:
            await consumer.commit(offsets)
        except (*kafka_client.FAILURES, IllegalStateError) as error:
            log.warning("commands that were carried out could not be committed: %r", error)
            return False
        for tp, offset in offsets.items():
            if (progress := self._progress.get(tp)) is not None:  # else it is another router's meanwhile
                progress.committed(offset)
        return True


async def _wait_end(tasks: "list[asyncio.Task[None]]") -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=END_WITHIN)
