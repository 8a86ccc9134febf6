"""The consumer of commands over a scripted Kafka: order, bounds, what is committed when, and records of no use."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError

from observability import names
from observability.counters import counters
from router.caller import LOOPBACK, Caller
from router.commands import consumer as module
from router.commands.command import Origin
from router.commands.consumer import KafkaCommandConsumer
from router.commands.settings import CommandSettings
from router.push import CallRefused
from runtime.bus.settings import BusSection

ZERO, ONE, TWO = (TopicPartition("commands", number) for number in range(3))
Read = dict[TopicPartition, list[ConsumerRecord]]
NOT_TEXT = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


class ScriptedConsumer:
    """Gives what a test has put into `reads`, in turn: records or an error, and then waits for more."""

    def __init__(self) -> None:
        self.reads: list[Read | Exception] = []
        self.more = asyncio.Event()
        self.by_partition: dict[TopicPartition, list[ConsumerRecord] | Exception] = {}
        self.asked: list[int] = []  # the most records of each read
        self.commits: list[dict[TopicPartition, int]] = []
        self.commit_errors: list[Exception] = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        self.start_error: Exception | None = None
        self.answered_ms = 0.0  # the last answer of a broker, in ms since the Unix epoch
        self.seeks: list[tuple[TopicPartition, int]] = []
        self.stopped = 0

    def subscribe(self, topics: list[str], listener: object) -> None:
        self.subscribed = topics, listener

    async def start(self) -> None:
        if self.start_error is not None:
            raise self.start_error

    async def stop(self) -> None:
        self.stopped += 1

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Read:
        if partitions:
            (partition,) = partitions
            found = self.by_partition.get(partition, [])
            if isinstance(found, Exception):
                raise found
            return {partition: found}
        self.asked.append(max_records)
        while not self.reads:
            self.more.clear()
            await self.more.wait()
        read = self.reads.pop(0)
        if isinstance(read, Exception):
            raise read
        return read

    def give(self, *reads: Read | Exception) -> None:
        self.reads += reads
        self.more.set()

    def assignment(self) -> list[TopicPartition]:
        return [ZERO, ONE, TWO]

    def last_poll_timestamp(self, partition: TopicPartition) -> float | None:
        return self.answered_ms if partition == ZERO else None

    async def position(self, partition: TopicPartition) -> int:
        return 40 + partition.partition

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.seeks.append((partition, offset))

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await self.may_commit.wait()
        if self.commit_errors:
            raise self.commit_errors.pop(0)
        self.commits.append(offsets)


class HeldDispatcher:
    """Executes commands when a test says so. `outcomes`: what a command raises, by its value."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.held: dict[bytes, asyncio.Event] = {}
        self.outcomes: dict[bytes, Exception] = {}
        self.callers: set[Caller] = set()

    async def dispatch(self, caller: Caller, _headers: Mapping[str, str], value: bytes, _origin: Origin) -> None:
        self.callers.add(caller)
        self.begun.append(value)
        if value in self.held:
            await self.held[value].wait()
        if value in self.outcomes:
            raise self.outcomes[value]

    def hold(self, *values: bytes) -> None:
        self.held.update((value, asyncio.Event()) for value in values)


class RecordingLetters:
    """Keeps dead letters; `error`: what writing one raises."""

    def __init__(self) -> None:
        self.letters: list[tuple[bytes, str]] = []
        self.error: Exception | None = None

    async def write_dead_letter(self, record: ConsumerRecord, _origin: Origin, refused: CallRefused) -> None:
        if self.error is not None:
            raise self.error
        self.letters.append((record.value, refused.code))

    async def close(self) -> None:
        """Nothing is open."""


class Rig:
    """A command consumer that runs."""

    def __init__(self, in_flight: int = 256) -> None:
        self.dispatcher = HeldDispatcher()
        self.counters = counters(names.ROUTER)
        bus, settings = BusSection(kind="kafka"), CommandSettings(topic="commands", in_flight=in_flight)
        self.consumer = KafkaCommandConsumer(
            *(bus, settings, self.dispatcher, lambda _record: LOOPBACK, self.counters),  # type: ignore[arg-type]
        )
        self.letters = RecordingLetters()
        self.consumer._dead_letters = self.letters  # type: ignore[assignment]
        self.made: list[ScriptedConsumer] = [ScriptedConsumer()]
        to_make = iter(self.made)
        self.consumer._make_consumer = lambda: next(to_make)  # type: ignore[method-assign]
        self.running: asyncio.Task[None] | None = None

    @property
    def kafka(self) -> ScriptedConsumer:
        return self.made[-1]

    def run(self) -> None:
        self.running = asyncio.ensure_future(self.consumer.run())

    async def begun(self, *values: bytes) -> None:
        """Until exactly these commands have begun."""
        while len(self.dispatcher.begun) < len(values):
            await asyncio.sleep(0)
        await turns()
        assert self.dispatcher.begun == list(values)

    async def committed(self, offset: int) -> None:
        """Until this offset of partition 0 is committed."""
        while not self.kafka.commits or self.kafka.commits[-1].get(ZERO) != offset:
            await asyncio.sleep(0)

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)


async def turns() -> None:
    """Enough turns of the loop for everything that waits for nothing else."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(module, "COMMIT_INTERVAL", 0.0)
    monkeypatch.setattr(module, "RETRY_PAUSE", 0.0)
    made = Rig()
    yield made
    await made.stop()


def record(offset: int, value: bytes, key: bytes | None = None, partition: TopicPartition = ZERO) -> ConsumerRecord:
    return ConsumerRecord(
        *(partition.topic, partition.partition, offset, 0, 0, key, value, None, 0, len(value)), headers=()
    )


async def test_an_offset_is_committed_when_everything_before_it_is_finished(rig: Rig) -> None:
    rig.dispatcher.hold(b"a", b"c")
    rig.run()
    rig.kafka.give({ZERO: [record(7, b"a"), record(8, b"b"), record(9, b"c")]})
    await rig.begun(b"a", b"b", b"c")
    assert [commit[ZERO] for commit in rig.kafka.commits] == [7]
    rig.dispatcher.held[b"a"].set()
    await rig.committed(9)
    rig.dispatcher.held[b"c"].set()
    await rig.committed(10)
    assert (rig.counters.commands_done, rig.dispatcher.callers) == (3, {LOOPBACK})


async def test_commands_with_one_key_follow_one_another_and_others_do_not_wait(rig: Rig) -> None:
    rig.dispatcher.hold(b"a1")
    rig.run()
    rig.kafka.give({ZERO: [record(0, b"a1", b"a"), record(1, b"a2", b"a"), record(2, b"b1", b"b"), record(3, b"-")]})
    rig.kafka.give({ONE: [record(0, b"elsewhere", b"a", ONE)]})
    await rig.begun(b"a1", b"b1", b"-", b"elsewhere")
    rig.dispatcher.held[b"a1"].set()
    await rig.begun(b"a1", b"b1", b"-", b"elsewhere", b"a2")


async def test_no_more_is_read_while_as_many_commands_are_in_flight_as_may_be(rig: Rig) -> None:
    rig = Rig(in_flight=2)
    rig.dispatcher.hold(b"a", b"b")
    rig.run()
    rig.kafka.give({ZERO: [record(0, b"a"), record(1, b"b")]}, {ZERO: [record(2, b"c")]})
    await rig.begun(b"a", b"b")
    assert rig.kafka.asked == [2]
    rig.dispatcher.held[b"b"].set()
    await rig.begun(b"a", b"b", b"c")
    assert rig.kafka.asked[:2] == [2, 1]
    await rig.stop()


async def test_what_cannot_be_executed_is_a_dead_letter_and_is_committed(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.dispatcher.outcomes = {b"a": CallRefused("NOT_FOUND", "nobody"), b"b": ValueError("a defect")}
    rig.run()
    rig.kafka.give({ZERO: [record(0, b"a"), record(1, b"b"), record(2, b"c")]})
    await rig.committed(3)
    assert rig.letters.letters == [(b"a", "NOT_FOUND"), (b"b", "INTERNAL")]
    assert (rig.counters.commands_dead, rig.counters.commands_done) == (2, 1)
    assert "a defect" in caplog.text


async def test_a_dead_letter_that_fails_commits_nothing_and_is_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.dispatcher.outcomes = {b"a": CallRefused("NOT_FOUND", "nobody")}
    rig.letters.error = ValueError("a defect")
    rig.run()
    rig.kafka.give({ZERO: [record(5, b"a"), record(6, b"b")]})
    await rig.committed(5)
    assert rig.consumer._offsets[ZERO].finished_to == 5
    assert [line.levelname for line in caplog.records] == ["CRITICAL"]


async def test_a_record_that_cannot_be_decoded_is_passed_over(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.run()
    rig.kafka.by_partition = {
        ZERO: NOT_TEXT,
        ONE: [record(0, b"readable", partition=ONE)],
        TWO: KafkaConnectionError("gone"),
    }
    rig.kafka.give(NOT_TEXT)
    await rig.begun(b"readable")
    assert rig.kafka.seeks == [(ZERO, 41)]
    assert rig.counters.commands_dead == 1
    assert "commands 0: record 40 cannot be read" in caplog.text


async def test_a_read_that_fails_is_tried_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.run()
    rig.kafka.give(KafkaConnectionError("gone"), {ZERO: [record(0, b"a")]})
    await rig.begun(b"a")
    assert "commands cannot be read" in caplog.text


async def test_brokers_that_stop_answering_are_logged_once_and_so_is_their_return(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "router.commands")
    rig.run()
    now = time.time() * 1000
    rig.kafka.answered_ms = now - 60_000
    rig.kafka.give({}, {})
    while rig.kafka.reads or not caplog.records:
        await asyncio.sleep(0)
    await turns()
    rig.kafka.answered_ms = now + 60_000
    rig.kafka.give({}, {})
    while rig.kafka.reads or len(caplog.records) < 2:
        await asyncio.sleep(0)
    await turns()
    assert [line.message.rpartition(" is ")[2] for line in caplog.records] == ["away, no commands are read", "back"]


async def test_a_consumer_that_cannot_start_is_made_anew(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    first, second = rig.kafka, ScriptedConsumer()
    first.start_error = KafkaConnectionError("nobody listens")
    rig.made.append(second)
    rig.run()
    second.give({ZERO: [record(0, b"a")]})
    await rig.begun(b"a")
    assert (first.stopped, second.subscribed) == (1, (["commands"], rig.consumer))
    assert "is away, no commands are read" in caplog.text


@pytest.mark.parametrize("error", [KafkaConnectionError("gone"), IllegalStateError("a rebalance is under way")])
async def test_a_commit_that_fails_is_tried_again(rig: Rig, error: Exception) -> None:
    rig.kafka.commit_errors = [error]
    rig.run()
    rig.kafka.give({ZERO: [record(0, b"a")]})
    await rig.committed(1)


async def test_a_partition_that_is_revoked_is_committed_as_far_as_it_is_finished_and_then_forgotten(rig: Rig) -> None:
    rig.dispatcher.hold(b"a")
    rig.run()
    await rig.consumer.on_partitions_assigned([ZERO])
    rig.kafka.give({ZERO: [record(3, b"a")], ONE: [record(9, b"b", partition=ONE)]})
    await rig.begun(b"a", b"b")
    revoking = asyncio.ensure_future(rig.consumer.on_partitions_revoked([ZERO]))
    await turns()
    assert not revoking.done(), "what is in flight there is waited for"
    rig.dispatcher.held[b"a"].set()
    await revoking
    assert rig.kafka.commits[-1][ZERO] == 4
    assert list(rig.consumer._offsets) == [ONE]


async def test_a_commit_for_a_partition_that_is_revoked_meanwhile_counts_no_more(rig: Rig) -> None:
    rig.run()
    rig.kafka.may_commit.clear()
    rig.kafka.give({ZERO: [record(3, b"a")]})
    await rig.begun(b"a")
    rig.consumer._offsets.pop(ZERO)
    rig.kafka.may_commit.set()
    await turns()
    assert rig.kafka.commits == [{ZERO: 4}]


async def test_before_there_is_a_consumer_a_revocation_and_a_close_do_nothing(rig: Rig) -> None:
    await rig.consumer.on_partitions_revoked([ZERO])
    await rig.consumer.close()
    assert rig.kafka.stopped == 0


async def test_a_close_waits_for_what_is_in_flight_commits_and_leaves_the_group(rig: Rig) -> None:
    rig.dispatcher.hold(b"a")
    rig.run()
    rig.kafka.give({ZERO: [record(0, b"a")]})
    await rig.begun(b"a")
    await rig.stop()
    closing = asyncio.ensure_future(rig.consumer.close())
    await turns()
    rig.dispatcher.held[b"a"].set()
    await closing
    assert (rig.kafka.commits[-1], rig.kafka.stopped) == ({ZERO: 1}, 1)


async def test_a_close_ends_in_time_and_does_not_commit_what_has_not_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_LIMIT", 0.0)
    rig.dispatcher.hold(b"a")
    rig.run()
    rig.kafka.give({ZERO: [record(0, b"a"), record(1, b"b")]})
    await rig.begun(b"a", b"b")
    await rig.stop()
    await rig.consumer.close()
    assert rig.kafka.commits == []
    assert rig.kafka.stopped == 1
    await turns()
    assert rig.consumer._in_flight == {}
