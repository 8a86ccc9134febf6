"""Shell: the consumer of commands: one Kafka consumer group of all routers; offsets are committed after execution.

At least once: what was in flight when a router died is executed again. A push then has the same push_id, so its gateway
does not write it twice. Commands with the same key are executed one after another, in the order of the topic;
others at the same time, up to `[commands] in_flight`, and then no more are read.
"""

import asyncio
import contextlib
import logging
import time

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, IllegalStateError, UnsupportedCodecError

from observability.counters import Counters
from router.caller import Authenticate
from router.commands.command import Origin, decode_headers
from router.commands.dead_letters import DeadLetters
from router.commands.dispatch import CommandDispatcher
from router.commands.offsets import PartitionOffsets
from router.commands.settings import CommandSettings
from router.push import CallRefused
from runtime.bus import kafka_client
from runtime.bus.settings import BusSection

log = logging.getLogger(__name__)

COMMIT_INTERVAL = 0.2  # seconds, at least
DRAIN_LIMIT = 2.0  # seconds for commands in flight, at a stop or when another router gets their partition
LEAVE_LIMIT = 1.0  # seconds to leave the group
AWAY_AFTER = 3.0  # seconds without an answer; an idle broker answers every half second
RETRY_PAUSE = 0.5  # seconds between two tries while Kafka is away
SESSION_MS = 6_000  # Kafka's minimum: after that time a router that has died is noticed
REFETCH_MS = 300  # for a partition to be fetched again; the client has dropped what it could not decode
MAX_POLL_MS = 3_600_000  # a router with a full `in_flight` stays in the group

UNREADABLE = (UnicodeDecodeError, CorruptRecordException, UnsupportedCodecError)
"""What aiokafka raises for a record that it cannot decode, each time that it reads the record."""

Lane = tuple[TopicPartition, bytes]
"""Commands with the same key, in one partition."""


class KafkaCommandConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads, executes, commits."""

    def __init__(
        self,
        bus: BusSection,
        settings: CommandSettings,
        dispatcher: CommandDispatcher,
        authenticate: Authenticate,
        counters: Counters,
    ) -> None:
        """`authenticate`: the caller of each command, from its `ConsumerRecord`."""
        self._bus = bus
        self._settings = settings
        self._dispatcher = dispatcher
        self._authenticate = authenticate
        self._counters = counters
        self._offsets: dict[TopicPartition, PartitionOffsets] = {}
        self._newest: dict[Lane, asyncio.Task[None]] = {}
        self._in_flight: dict[asyncio.Task[None], TopicPartition] = {}
        self._finished = asyncio.Event()
        self._has_room = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._dead_letters = DeadLetters(bus, settings.dead)
        self._away = False

    async def open(self) -> None:
        """Find Kafka, and the topic, which is created if it is absent. Raises BusUnavailable."""
        await kafka_client.wait_broker(self._bus)
        await kafka_client.ensure_topic(self._bus, self._settings.topic)

    async def run(self) -> None:
        """Execute commands, for ever. While Kafka is away, wait for Kafka."""
        consumer = await self._start_consumer()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_committing(consumer))
            while True:
                await self._wait_room()
                room = self._settings.in_flight - len(self._in_flight)
                read = await self._read(consumer, room)
                for partition, records in read.items():
                    for record in records:
                        self._begin(partition, record)
                if not read or self._away:
                    self._check_away(consumer)

    async def close(self) -> None:
        """After `run` was cancelled: wait for commands in flight, commit, leave the group."""
        tasks = list(self._in_flight)
        await _wait(tasks)
        for task in tasks:
            task.cancel()
        if self._consumer is not None:
            with contextlib.suppress(*kafka_client.FAILURES):
                async with asyncio.timeout(LEAVE_LIMIT):
                    await self._commit(self._consumer)
                    await self._consumer.stop()
        await self._dead_letters.close()

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Other routers get these partitions, and execute again what is not committed."""
        await _wait([task for task, partition in self._in_flight.items() if partition in revoked])
        if self._consumer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_LIMIT):
                    await self._commit(self._consumer)
        for partition in revoked:
            self._offsets.pop(partition, None)

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """Reading begins at the committed offsets."""

    async def _start_consumer(self) -> AIOKafkaConsumer:
        pause = 0.0
        while True:
            await asyncio.sleep(pause)
            pause = RETRY_PAUSE
            self._consumer = self._make_consumer()
            self._consumer.subscribe([self._settings.topic], listener=self)
            try:
                await self._consumer.start()
            except kafka_client.FAILURES as error:
                log.warning("Kafka at %s is away, no commands are read: %s", self._bus.kafka, error)
                await self._consumer.stop()
            else:
                return self._consumer

    def _make_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=kafka_client.bootstrap_servers(self._bus),
            group_id=self._settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # commands that were written before the first router came are executed too
            isolation_level="read_committed",
            max_poll_interval_ms=MAX_POLL_MS,
            rebalance_timeout_ms=10_000,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 3,
            metadata_max_age_ms=30_000,
        )

    async def _read(self, consumer: AIOKafkaConsumer, most: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            read: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(timeout_ms=500, max_records=most)
        except UNREADABLE:
            return await self._skip_unreadable(consumer, most)
        except kafka_client.FAILURES as error:
            log.warning("commands cannot be read from Kafka at %s: %r", self._bus.kafka, error)
            await asyncio.sleep(RETRY_PAUSE)
            return {}
        return read

    async def _skip_unreadable(
        self, consumer: AIOKafkaConsumer, most: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Read partition by partition. A record that cannot be decoded is skipped, counted and logged.

        There is no dead letter for it: the client gives neither its key nor its value.
        """
        read: dict[TopicPartition, list[ConsumerRecord]] = {}
        for partition in consumer.assignment():
            try:
                read |= await consumer.getmany(partition, timeout_ms=REFETCH_MS, max_records=max(1, most // 8))
            except UNREADABLE as error:
                offset = await consumer.position(partition)
                consumer.seek(partition, offset + 1)
                self._counters.commands_dead += 1
                log.error("%s %d: record %d cannot be read: %r", partition.topic, partition.partition, offset, error)
            except kafka_client.FAILURES as error:
                log.warning("commands cannot be read from Kafka at %s: %r", self._bus.kafka, error)
        return read

    def _check_away(self, consumer: AIOKafkaConsumer) -> None:
        """Log once when brokers stop answering, and once when they answer again: the client retries silently."""
        answered = [at for tp in consumer.assignment() if (at := consumer.last_poll_timestamp(tp))]
        away = bool(answered) and time.time() - max(answered) / 1000 > AWAY_AFTER
        if away and not self._away:
            log.warning("Kafka at %s is away, no commands are read", self._bus.kafka)
        elif self._away and not away:
            log.info("Kafka at %s is back", self._bus.kafka)
        self._away = away

    async def _wait_room(self) -> None:
        while len(self._in_flight) >= self._settings.in_flight:
            self._has_room.clear()
            await self._has_room.wait()

    def _begin(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        offsets = self._offsets.setdefault(partition, PartitionOffsets())
        offsets.begin(record.offset)
        lane = None if record.key is None else (partition, record.key)
        task = asyncio.create_task(self._execute(record, offsets, self._newest.get(lane) if lane else None))
        self._in_flight[task] = partition
        if lane:
            self._newest[lane] = task
        task.add_done_callback(lambda ended: self._on_task_end(ended, lane))

    def _on_task_end(self, task: "asyncio.Task[None]", lane: Lane | None) -> None:
        del self._in_flight[task]
        self._has_room.set()
        if lane and self._newest.get(lane) is task:
            del self._newest[lane]
        if not task.cancelled() and (error := task.exception()):
            log.critical("the task of a command has failed", exc_info=error)

    async def _execute(
        self, record: ConsumerRecord, offsets: PartitionOffsets, previous: "asyncio.Task[None] | None"
    ) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        origin = Origin(record.topic, record.partition, record.offset)
        try:
            caller = self._authenticate(record)
            await self._dispatcher.dispatch(caller, decode_headers(record.headers), record.value, origin)
        except CallRefused as refused:
            await self._write_dead_letter(record, origin, refused)
        except Exception:
            log.exception("a command failed in the router: %s", origin)
            failed = CallRefused("INTERNAL", "the router failed; your request is not the cause")
            await self._write_dead_letter(record, origin, failed)
        else:
            self._counters.commands_done += 1
        offsets.finish(record.offset)
        self._finished.set()

    async def _write_dead_letter(self, record: ConsumerRecord, origin: Origin, refused: CallRefused) -> None:
        await self._dead_letters.write_dead_letter(record, origin, refused)
        self._counters.commands_dead += 1

    async def _keep_committing(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._finished.wait()
            self._finished.clear()
            pause = COMMIT_INTERVAL
            if not await self._commit(consumer):
                self._finished.set()
                pause = RETRY_PAUSE
            await asyncio.sleep(pause)

    async def _commit(self, consumer: AIOKafkaConsumer) -> bool:
        """Commit what is finished. False: Kafka did not accept the commit; it must be tried again."""
        commits = {tp: offset for tp, offsets in self._offsets.items() if (offset := offsets.to_commit) is not None}
        if not commits:
            return True
        try:
            await consumer.commit(commits)
        except (*kafka_client.FAILURES, IllegalStateError) as error:
            log.warning("executed commands could not be committed: %r", error)
            return False
        for tp, offset in commits.items():
            if (offsets := self._offsets.get(tp)) is not None:  # None: revoked meanwhile
                offsets.on_committed(offset)
        return True


async def _wait(tasks: "list[asyncio.Task[None]]") -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=DRAIN_LIMIT)
