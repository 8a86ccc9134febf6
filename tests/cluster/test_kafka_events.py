"""Client events through a real gateway into a real Kafka, which is killed in between (docs/protocol.md, events
upstream).
"""

import asyncio
import contextlib
from collections import defaultdict

import pytest
from aiokafka import ConsumerRecord

from tests.support.cluster import Client, Cluster, connect
from tests.support.kafka import flags, read, reading
from tests.support.kafka import headers as headers_of
from tests.support.servers import Server

pytestmark = pytest.mark.timeout(120)

CLIENTS = 10
EVENTS = 500  # of each client
TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_5000_events_arrive_with_every_header_in_order_though_the_broker_is_killed(
    cluster: Cluster, breakable_kafka: Server
) -> None:
    gateway = await cluster.start_gateway(*flags(breakable_kafka))
    async with contextlib.AsyncExitStack() as stack:
        # Half of them speak of a file, which is the key; the others of none: their own name is.
        files = [(f"doc-{number}",) if number % 2 else () for number in range(CLIENTS)]
        users = [f"user-{number}" for number in range(CLIENTS)]
        clients = [
            await stack.enter_async_context(connect(cluster, gateway, user, *file))
            for user, file in zip(users, files, strict=True)
        ]
        await asyncio.gather(
            *(say(client, file, range(EVENTS // 2)) for client, file in zip(clients, files, strict=True))
        )
        breakable_kafka.kill()
        await asyncio.gather(
            *(say(client, file, range(EVENTS // 2, EVENTS)) for client, file in zip(clients, files, strict=True))
        )
        await asyncio.to_thread(breakable_kafka.restart)
        sids = {client.sid: number for number, client in enumerate(clients)}
        records = await read_until_all(breakable_kafka, cluster.stream, CLIENTS * EVENTS)

    said: dict[int, list[int]] = defaultdict(list)
    for record in records:
        headers = headers_of(record)
        if headers["X-Event"] != "message" or "X-Inner" in headers:
            continue
        number = sids[int(headers["X-ID"])]
        n = int(record.value)
        file = files[number][0] if files[number] else ""
        assert record.key.decode() == file or users[number]
        assert int(headers.pop("X-Seq")) > 0
        assert headers == expected(clients[number].sid, users[number], file, n)
        said[number].append(n)
    assert {number: list(dict.fromkeys(ns)) for number, ns in said.items()} == {
        number: list(range(EVENTS)) for number in range(CLIENTS)
    }
    lanes = [(headers["X-ID"], int(headers["X-Seq"])) for headers in map(headers_of, records)]
    assert len(set(lanes)) == len(lanes), "an idempotent producer wrote something twice"


async def say(client: Client, file: tuple[str, ...], numbers: range) -> None:
    for n in numbers:
        message: dict[str, object] = {"type": "event", "event": "edit", "data": n}
        if file:
            message["file"] = file[0]
        if n % 5 == 0:
            message["id"] = 1_000_000 + n
        if n % 7 == 0:
            message["traceparent"] = traceparent(n)
        await client.send(**message)
    answer = await client.ask(type="ping")  # everything before it has been taken
    assert answer["type"] == "pong", answer


def traceparent(n: int) -> str:
    return f"00-{TRACE}-{n + 1:016x}-00"


def expected(sid: int, user: str, file: str, n: int) -> dict[str, str]:
    headers = {
        "X-ID": str(sid),
        "X-Uid": user,
        "X-Event": "message",
        "X-Auth-Type": "test",
        "X-Namespace": "/",
        "X-Name": "edit",
        "Content-Type": "application/json",
    }
    if file:
        headers["X-Guid"] = file
    if n % 5 == 0:
        headers["X-Ack"] = str(1_000_000 + n)
    if n % 7 == 0:
        headers |= {"traceparent": traceparent(n), "X-Trace-ID": TRACE}
    return headers


async def read_until_all(server: Server, topic: str, messages: int) -> list[ConsumerRecord]:
    """Everything up to the last of so many of the clients' own events."""
    records: list[ConsumerRecord] = []
    left = messages
    async with reading(server.endpoint, topic) as consumer, asyncio.timeout(60):
        while left > 0:
            for got in (await consumer.getmany(timeout_ms=500)).values():
                records += got
                left -= sum(headers_of(record).get("X-Name") == "edit" for record in got)
    return records


async def test_a_session_s_coming_joining_leaving_and_going_are_records(cluster: Cluster, kafka: Server) -> None:
    gateway = await cluster.start_gateway(*flags(kafka))
    async with connect(cluster, gateway, "kim", "notes") as client:
        assert (await client.ask(type="leave", file="notes"))["type"] == "ok"
    records = await read(kafka.endpoint, cluster.stream, 4)
    told = sorted((headers_of(record) for record in records), key=lambda headers: int(headers["X-Seq"]))
    own = {"X-ID": str(client.sid), "X-Uid": "kim", "X-Auth-Type": "test", "X-Namespace": "/"}
    assert told == [
        {**own, "X-Event": "connect", "X-Seq": "1"},
        {**own, "X-Event": "message", "X-Seq": "2", "X-Guid": "notes", "X-Inner": "join"},
        {**own, "X-Event": "message", "X-Seq": "3", "X-Guid": "notes", "X-Inner": "leave"},
        {**own, "X-Event": "disconnect", "X-Seq": "4", "X-Reason": "1000"},
    ]
    assert {record.key: record.value for record in records} == {b"kim": b"", b"notes": b""}
