"""Kafka away under load: nothing that was taken is lost, the rest is refused aloud (reliability, experiment 18).

The full length is `make faults-kafka`; the ordinary run has a short one with a small buffer.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from urllib.request import urlopen

import pytest

from homing.v1 import router_pb2
from tests.support.cluster import Client, Cluster, Service, connect
from tests.support.kafka import flags, producing, reading
from tests.support.kafka import headers as headers_of
from tests.support.servers import Server

CLIENTS = 20
LULL = 0.05  # seconds between two rounds of sending
PING = 1_000_000_000  # ids of pings begin here, those of events below


class Sender:
    """One client that says an event, its number, `rate` times a second, whatever happens; its key is its user."""

    def __init__(self, client: Client, rate: float) -> None:
        self.client = client
        self.rate = rate
        self.said = 0
        self.busy: set[int] = set()
        self.pongs = 0
        self.ponged = asyncio.Event()

    async def send(self) -> None:
        began = time.monotonic()
        while True:
            while self.said < (time.monotonic() - began) * self.rate:
                await self.client.send(type="event", event="e", data=self.said, id=self.said)
                self.said += 1
            await asyncio.sleep(LULL)

    async def hear(self) -> None:
        async for text in self.client.connection:
            message = json.loads(text)
            if message["type"] == "pong":
                self.ponged.set()
            else:
                assert (message["type"], message["code"]) == ("error", "busy"), message
                self.busy.add(message["id"])

    async def wait_heard(self) -> None:
        """Until the gateway has taken or refused everything said so far."""
        self.ponged.clear()
        self.pongs += 1
        await self.client.send(type="ping", id=PING + self.pongs)
        await self.ponged.wait()


class Watch:
    """The most that a gateway held, and its memory."""

    def __init__(self, gateway: Service) -> None:
        self._address = gateway.facts["admin"]
        self._pid = gateway.facts["pid"]
        self.most = 0
        self.most_rss = 0
        self.first_rss = self._rss()

    async def run(self) -> None:
        while True:
            self.most = max(self.most, await self.held())
            self.most_rss = max(self.most_rss, self._rss())
            await asyncio.sleep(0.2)

    async def held(self) -> int:
        text = await asyncio.to_thread(self._read)
        return next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith(EVENTS_HELD))

    def _read(self) -> str:
        with urlopen(f"http://{self._address}/metrics") as answer:
            text: str = answer.read().decode()
            return text

    def _rss(self) -> int:
        with open(f"/proc/{self._pid}/statm") as file:
            return int(file.read().split()[1]) * 4096


EVENTS_HELD = "homing_gateway_events_held "


async def outage(cluster: Cluster, server: Server, rate: int, buffer: int, seconds: float) -> dict[str, float]:
    """Run the experiment; assert what must hold; the figures."""
    gateway = await cluster.start_gateway(*flags(server), "--set", f"events.buffer={buffer}")
    async with contextlib.AsyncExitStack() as stack:
        # A client that the gateway does not read gets no pong and no close either: these ask for no pong.
        linger = {"ping_interval": None, "close_timeout": 0.2}
        opened = [connect(cluster, gateway, f"u{number}", **linger) for number in range(CLIENTS)]
        senders = [Sender(await stack.enter_async_context(one), rate / CLIENTS) for one in opened]
        watch = Watch(gateway)
        tasks = [asyncio.ensure_future(one) for one in (watch.run(), *(sender.hear() for sender in senders))]
        sending = [asyncio.ensure_future(sender.send()) for sender in senders]
        await asyncio.sleep(2)
        server.kill()
        await asyncio.sleep(seconds)
        away = await asyncio.to_thread(timed, server.restart)
        returned = time.monotonic()
        await asyncio.gather(*(sender.wait_heard() for sender in senders))
        while await watch.held() > 500:
            await asyncio.sleep(0.05)
        caught_up = time.monotonic() - returned
        await asyncio.sleep(1)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await asyncio.gather(*(sender.wait_heard() for sender in senders))
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
    taken = {f"u{number}": sorted(set(range(one.said)) - one.busy) for number, one in enumerate(senders)}
    records, repeats = await read_all(server, cluster.stream, sum(map(len, taken.values())))
    lost = sum(len(set(numbers) - set(records[user])) for user, numbers in taken.items())
    assert lost == 0
    assert records == taken  # nothing that was refused, and each key in its order
    assert watch.most <= buffer
    return {
        "rate": rate,
        "buffer": buffer,
        "down_s": round(seconds + away, 1),
        "said": sum(sender.said for sender in senders),
        "busy": sum(len(sender.busy) for sender in senders),
        "taken": sum(map(len, taken.values())),
        "lost": lost,
        "repeated": repeats,
        "most_held": watch.most,
        "caught_up_s": round(caught_up, 2),
        "rss_growth_mib": round((watch.most_rss - watch.first_rss) / 2**20, 1),
    }


def timed(action: Callable[[], None]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


async def read_all(server: Server, topic: str, number: int) -> tuple[dict[str, list[int]], int]:
    """What each user has said, in the order in which it stands in Kafka, and how much stands there twice."""
    heard: dict[str, dict[int, None]] = {f"u{number}": {} for number in range(CLIENTS)}
    repeats = 0
    async with reading(server.endpoint, topic) as consumer, asyncio.timeout(60):
        while sum(map(len, heard.values())) < number:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if headers_of(record).get("X-Name") == "e":
                        numbers = heard[record.key.decode()]
                        repeats += int(record.value) in numbers
                        numbers[int(record.value)] = None
    return {user: list(numbers) for user, numbers in heard.items()}, repeats


@pytest.mark.timeout(120)
async def test_a_short_outage(cluster: Cluster, breakable_kafka: Server) -> None:
    figures = await outage(cluster, breakable_kafka, rate=1000, buffer=600, seconds=0.5)
    assert figures["busy"] > 0
    assert figures["caught_up_s"] < 30


@pytest.mark.timeout(120)
async def test_pushes_go_on_without_kafka_and_commands_again_when_it_is_back(
    cluster: Cluster, breakable_kafka: Server
) -> None:
    topic = f"commands-{cluster.name}"
    gateway = await cluster.start_gateway(*flags(breakable_kafka))
    router = await cluster.start_router(
        *flags(breakable_kafka), "--set", f"commands.topic={topic}", "--set", f"commands.group={topic}"
    )
    async with connect(cluster, gateway, "ada") as client:
        await command(breakable_kafka, topic, "before")
        assert (await client.receive(within=20))["event"] == "before"
        breakable_kafka.kill()
        push = router_pb2.PushRequest(target=router_pb2.Target(user="ada"), event="meanwhile", data=b"1")
        report = (await cluster.router().Push(push)).report
        assert dict(report.counts) == {"WRITTEN": 1}
        assert (await client.receive())["event"] == "meanwhile"
        async with asyncio.timeout(20):
            while "is away, no commands are read" not in router.log.read_text():
                await asyncio.sleep(0.1)
        await asyncio.to_thread(breakable_kafka.restart)
        await command(breakable_kafka, topic, "after")
        assert (await client.receive(within=30))["event"] == "after"
    assert (gateway.process.returncode, router.process.returncode) == (None, None)


async def command(server: Server, topic: str, event: str) -> None:
    body = json.dumps({"target": {"user": "ada"}, "event": event, "json": 1}).encode()
    async with producing(server.endpoint) as producer:
        await producer.send_and_wait(topic, body, headers=[("X-Operator", b"unicast")])


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_experiment_18(cluster: Cluster, breakable_kafka: Server) -> None:
    figures = await outage(cluster, breakable_kafka, rate=1000, buffer=10_000, seconds=60)
    print("\n" + json.dumps(figures))
    assert figures["busy"] > 0
    assert figures["caught_up_s"] <= 30
