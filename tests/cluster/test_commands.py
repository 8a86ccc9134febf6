"""Commands over Kafka, by real routers and gateways (docs/design.md, "The router"; reliability row 68)."""

import asyncio
import contextlib
import json
import secrets
import sys
from collections.abc import AsyncIterator
from urllib.request import urlopen

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

from router.commands.consumer import COMMIT_INTERVAL
from tests.support.cluster import Client, Cluster, Service, connect
from tests.support.kafka import flags, producing, read
from tests.support.kafka import headers as headers_of
from tests.support.servers import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

TRACE = "0af7651916cd43dd8448eb211c80319c"


POISON = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class NoText(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"{}", partition=0, headers=[(NoText("name"), b"")])

asyncio.run(main())
"""


class Rig:
    """A cluster that takes commands, and a backend that gives them."""

    def __init__(self, cluster: Cluster, server: Server, producer: AIOKafkaProducer) -> None:
        self.cluster = cluster
        self.server = server
        self.producer = producer
        self.topic = f"commands-{secrets.token_hex(4)}"
        self.dead = f"{self.topic}.dead"
        self.flags = flags(server)
        for field, value in (("topic", self.topic), ("dead", self.dead), ("group", self.topic)):
            self.flags += ("--set", f"commands.{field}={value}")

    async def command(
        self,
        operator: str | None,
        value: object,
        key: str | None = None,
        partition: int | None = None,
        **headers: str,
    ) -> tuple[int, int]:
        """Give one; where it stands: partition and offset. `value`: JSON, or bytes as they are."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        if operator is not None:
            named["X-Operator"] = operator
        body = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        where = await self.producer.send_and_wait(
            self.topic,
            body,
            key.encode() if key else None,
            partition,
            headers=[(name, text.encode()) for name, text in named.items()],
        )
        return where.partition, where.offset

    async def dead_letters(self, number: int) -> list[ConsumerRecord]:
        async with asyncio.timeout(20):
            return await read(self.server.endpoint, self.dead, number)

    def counted(self, router: Service) -> dict[str, float]:
        with urlopen(f"http://{router.facts['admin']}/metrics") as answer:
            lines = [line.split() for line in answer.read().decode().splitlines() if line.startswith("homing_")]
        return {name.removeprefix("homing_router_").removesuffix("_total"): float(value) for name, value in lines}


@pytest_asyncio.fixture(loop_scope="module")
async def rig(cluster_of_two: Cluster, kafka: Server) -> AsyncIterator[Rig]:
    """A topic and a router of one's own."""
    async with producing(kafka.endpoint) as producer:
        made = Rig(cluster_of_two, kafka, producer)
        before = len(cluster_of_two.routers)
        await cluster_of_two.start_router(*made.flags)
        yield made
        for router in cluster_of_two.routers[before:]:
            await router.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster_of_two(tmp_path_factory, etcd, redis) -> AsyncIterator[Cluster]:
    """Two gateways; their own events go to Redis, so that a test's topics are its own."""
    cluster = Cluster(tmp_path_factory.mktemp("commands"), etcd.endpoint, redis.endpoint)
    await asyncio.gather(*(cluster.start_gateway() for _ in range(2)))
    yield cluster
    await cluster.stop()


@contextlib.asynccontextmanager
async def two_clients(rig: Rig, user: str, *files: str) -> AsyncIterator[tuple[Client, Client]]:
    """The same user on both gateways."""
    one, two = rig.cluster.gateways
    async with connect(rig.cluster, one, user, *files) as first, connect(rig.cluster, two, user, *files) as second:
        yield first, second


async def test_a_unicast_reaches_a_session_a_user_and_a_file(rig: Rig) -> None:
    async with two_clients(rig, "ada", "notes") as (first, second):
        await rig.command("unicast", {"target": {"session": str(first.sid)}, "event": "one", "json": {"n": 1}})
        heard = await first.receive(within=20)
        assert (heard["event"], heard["data"]) == ("one", {"n": 1})
        await rig.command("unicast", {"target": {"user": "ada"}, "event": "two", "data": "MQ==", "push_id": "mine"})
        for client in (first, second):
            heard = await client.receive()
            assert (heard["event"], heard["data"], heard["push"]) == ("two", 1, "mine")
        await rig.command("unicast", {"target": {"file": "notes"}, "event": "three"} | {"json": None})
        assert [(await client.receive())["event"] for client in (first, second)] == ["three", "three"]


async def test_a_broadcast_reaches_a_file_and_everyone_and_continues_the_trace(rig: Rig) -> None:
    async with (
        two_clients(rig, "bea", "plan") as (first, second),
        connect(rig.cluster, rig.cluster.gateways[0], "cy") as cy,
    ):
        parent = f"00-{TRACE}-00f067aa0ba902b7-01"
        await rig.command("broadcast", {"target": {"file": "plan"}, "event": "a", "json": 1}, traceparent=parent)
        for client in (first, second):
            heard = await client.receive(within=20)
            assert (heard["event"], heard["traceparent"][3:35]) == ("a", TRACE)
        await rig.command("broadcast", {"target": {"everyone": True}, "event": "b", "json": 1}, X_Trace_ID=TRACE)
        for client in (first, second, cy):
            heard = await client.receive()
            assert (heard["event"], heard["traceparent"][3:35]) == ("b", TRACE)


async def test_join_push_leave_and_disconnect_with_one_key_happen_in_that_order(rig: Rig) -> None:
    async with two_clients(rig, "dan") as (first, second):
        to_file = {"target": {"file": "hall"}, "json": 0}
        await rig.command("join", {"target": {"user": "dan"}, "file": "hall"}, key="dan")
        await rig.command("unicast", {**to_file, "event": "in"}, key="dan")
        await rig.command("leave", {"target": {"session": str(first.sid)}, "file": "hall"}, key="dan")
        await rig.command("broadcast", {**to_file, "event": "half"}, key="dan")
        await rig.command("disconnect", {"target": {"user": "dan"}, "reason": "enough"}, key="dan")
        heard = [
            [message.get("event", message["type"]) for message in await client.rest()] for client in (first, second)
        ]
        assert heard == [["joined", "in", "left"], ["joined", "in", "half"]]
        assert await first.wait_closed() == (4403, "enough")
    assert rig.counted(rig.cluster.routers[-1])["commands_done"] == 5


async def test_a_reply_answers_a_client_s_event(rig: Rig) -> None:
    async with connect(rig.cluster, rig.cluster.gateways[0], "eva") as client:
        await client.send(type="event", event="ask", data=1, id=41)
        await rig.command("reply", {"session": str(client.sid), "ack": "41", "json": {"answer": 42}})
        heard = await client.receive(within=20)
        assert (heard["type"], heard["id"], heard["data"]) == ("reply", 41, {"answer": 42})


PUSH = {"target": {"user": "nobody"}, "event": "e", "json": 1}
BAD = [
    ("no X-Operator", None, PUSH, "X-Operator: the record has no such header"),
    ("bad X-Operator", "shout", PUSH, "X-Operator: 'shout' is none of"),
    ("null body", "unicast", None, "the record has no value"),
    ("bad JSON", "unicast", b"{", "the body is no JSON object"),
    ("unknown field", "unicast", {**PUSH, "colour": "red"}, "colour: no such field"),
    ("no target", "broadcast", {"event": "e", "json": 1}, "target: name one"),
    ("unicast to everyone", "unicast", {**PUSH, "target": {"everyone": True}}, "target: unicast is for"),
    ("broadcast to a user", "broadcast", PUSH, "target: broadcast is for file or everyone, not for user"),
    ("reserved event", "unicast", {**PUSH, "event": "homing:x"}, "event: homing:x is a reserved name"),
    ("no X-ID", "reply", {"ack": "1", "json": 1}, "session: must be the event's X-ID"),
    ("not UTF-8", "join", b"\xff\xfe", "the body is no JSON object"),
]


async def test_what_cannot_be_carried_out_is_a_dead_letter_with_the_reason_and_the_consumer_goes_on(rig: Rig) -> None:
    async with connect(rig.cluster, rig.cluster.gateways[0], "fay") as client:
        given = {}
        for name, operator, value, reason in BAD:
            where = await rig.command(operator, value, key="k", X_Mine=name)
            given[where] = (name, operator, value, reason)
        empty = rig.producer.create_batch()  # neither key nor value, which `send` does not let through
        empty.append(timestamp=None, key=None, value=None, headers=[("X-Operator", b"unicast"), ("X-Mine", b"empty")])
        where = await (await rig.producer.send_batch(empty, rig.topic, partition=0))
        given[(where.partition, where.offset)] = ("empty", "unicast", b"", "the record has no value")
        await rig.command("unicast", {"target": {"user": "fay"}, "event": "alive", "json": 1}, key="k")
        assert (await client.receive(within=20))["event"] == "alive"
    for letter in await rig.dead_letters(len(given)):
        headers = headers_of(letter)
        assert headers["X-Origin-Topic"] == rig.topic
        name, operator, value, reason = given.pop((int(headers["X-Origin-Partition"]), int(headers["X-Origin-Offset"])))
        assert (headers["X-Mine"], headers.get("X-Operator")) == (name, operator)
        assert headers["X-Reason"].startswith("INVALID_ARGUMENT: "), name
        assert reason in headers["X-Reason"], name
        assert letter.value == (value if isinstance(value, bytes | None) else json.dumps(value).encode())
    assert given == {}
    counted = rig.counted(rig.cluster.routers[-1])
    assert (counted["commands_dead"], counted["commands_done"]) == (len(BAD) + 1, 1)


async def test_records_that_fit_nowhere_or_cannot_be_taken_apart_hold_up_nobody(rig: Rig) -> None:
    """One whose headers fill it leaves no room for the reason; of one whose header's name is no text only its place can
    be said."""
    async with connect(rig.cluster, rig.cluster.gateways[0], "patient") as client:
        await rig.command(None, {}, partition=0, X_Large="x" * 1_048_400)
        poison = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", POISON, rig.server.endpoint, rig.topic), env={"AIOKAFKA_NO_EXTENSIONS": "1"}
        )
        assert await poison.wait() == 0
        push = {"target": {"user": "patient"}, "event": "e", "json": 1}
        await rig.command("unicast", push, partition=0)
        assert (await client.receive(within=15))["data"] == 1
        (letter,) = await rig.dead_letters(1)
        assert letter.value == b""
        assert headers_of(letter)["X-Origin-Offset"] == "0"
        assert "X-Operator" in headers_of(letter)["X-Reason"]
        assert rig.counted(rig.cluster.routers[-1])["commands_dead"] == 2


async def test_what_a_killed_router_had_under_way_is_done_again_by_another_and_only_that(rig: Rig) -> None:
    first = rig.cluster.routers[-1]
    async with connect(rig.cluster, rig.cluster.gateways[0], "gus") as client:
        to_gus = {"target": {"user": "gus"}, "json": 1}
        await rig.command("unicast", {**to_gus, "event": "done"}, key="a")
        assert (await client.receive(within=20))["event"] == "done"
        await wait_committed(rig, 1)
        place, _ = await rig.command("unicast", {**to_gus, "event": "held", "ack_timeout": "30s"}, key="a")
        held = await client.receive()  # and it is not acked, so the command stays under way
        await rig.command("unicast", {**to_gus, "event": "behind"}, key="a")
        await rig.command("unicast", {**to_gus, "event": "beside"}, partition=place)
        beside = await client.receive()
        await asyncio.sleep(3 * COMMIT_INTERVAL)  # it is done, but what stands before it is not
        await first.kill()
        await rig.cluster.start_router(*rig.flags)
        assert (held["event"], beside["event"]) == ("held", "beside")
        await client.send(type="ack", ack=held["ack"])  # the gateway knows both pushes: they are not written again
        assert (await client.receive(within=30))["event"] == "behind"
        await wait_committed(rig, 4)
    assert rig.counted(rig.cluster.routers[-1])["commands_done"] == 3


async def test_a_router_that_stops_commits_what_it_has_done(rig: Rig) -> None:
    first = rig.cluster.routers[-1]
    async with connect(rig.cluster, rig.cluster.gateways[0], "hal") as client:
        for number in range(20):
            await rig.command("unicast", {"target": {"user": "hal"}, "event": str(number), "json": 1}, key="a")
        heard = [(await client.receive(within=20))["event"]]
        assert await first.stop() == 0
        await rig.cluster.start_router(*rig.flags)
        heard += [(await client.receive(within=20))["event"] for _ in range(19)]
        assert heard == [str(number) for number in range(20)]
        await wait_committed(rig, 20)


async def wait_committed(rig: Rig, number: int) -> None:
    """Until so many commands of the topic are committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.server.endpoint)
    await admin.start()
    try:
        async with asyncio.timeout(30):
            while True:
                offsets = await admin.list_consumer_group_offsets(rig.topic)
                if sum(offset.offset for offset in offsets.values() if offset.offset > 0) == number:
                    return
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
