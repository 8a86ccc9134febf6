"""A push that is sent again, by a caller or by the client library after a router's death, is written once.

`test_experiment_19` is that of docs/promises.md.
"""

import asyncio
import os
from collections import Counter

import pytest

from homing import Outcome, Report, Router
from homing.v1 import router_pb2 as pb
from tests.support.cluster import Client, Cluster, connect

pytestmark = pytest.mark.timeout(90)
PUSHES = 2_000


@pytest.fixture
async def pair(cluster: Cluster) -> Cluster:
    """One gateway and two routers."""
    await cluster.start_gateway()
    await asyncio.gather(cluster.start_router(), cluster.start_router())
    return cluster


def addresses(cluster: Cluster) -> list[str]:
    return [str(router.facts["grpc"]) for router in cluster.routers]


async def test_a_repeat_through_any_router_is_a_duplicate_and_a_late_comer_still_gets_it(pair: Cluster) -> None:
    push = pb.PushRequest(target=pb.Target(user="ada"), event="e", data=b"1", push_id="order-1")
    async with connect(pair, pair.gateways[0], "ada") as first:
        reports = [(await pair.router(number).Push(push)).report for number in (0, 1, 0)]
        async with connect(pair, pair.gateways[0], "ada") as second:
            last = (await pair.router(1).Push(push)).report
            assert (await second.receive())["push"] == "order-1"
        assert (await first.receive())["push"] == "order-1"
        await first.send(type="ping-by-name", id=1)
        assert (await first.receive())["type"] == "error"  # nothing else came before the answer
    assert [dict(report.counts) for report in reports] == [{"WRITTEN": 1}, {"DUPLICATE": 1}, {"DUPLICATE": 1}]
    assert dict(last.counts) == {"DUPLICATE": 1, "WRITTEN": 1}


async def test_pushes_without_an_id_of_the_callers_are_not_remembered(pair: Cluster) -> None:
    push = pb.PushRequest(target=pb.Target(user="ada"), event="e", data=b"1")
    async with connect(pair, pair.gateways[0], "ada") as client:
        for _ in range(3):
            assert dict((await pair.router().Push(push)).report.counts) == {"WRITTEN": 1}
        assert len({(await client.receive())["push"] for _ in range(3)}) == 3


async def test_an_ack_reaches_the_caller_although_the_router_that_asked_for_it_has_died(pair: Cluster) -> None:
    async with connect(pair, pair.gateways[0], "ada") as client, Router(*addresses(pair)) as router:
        pushing = asyncio.ensure_future(router.push(user="ada", event="e", data="?", ack_timeout=20))
        message = await client.receive()
        await pair.routers[0].kill()
        async with asyncio.timeout(20):
            while await pushes_received(pair) < 2:  # the second try has come to the gateway
                await asyncio.sleep(0.05)
        await client.send(type="ack", ack=message["ack"], data={"yes": True})
        report = await pushing
    assert report.counts == {Outcome.ACKED: 1}
    assert report.deliveries[0].ack == {"yes": True}


async def pushes_received(cluster: Cluster) -> int:
    """Pushes that the gateway has received."""
    reader, writer = await asyncio.open_connection(*str(cluster.gateways[0].facts["admin"]).rsplit(":", 1))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    text = (await reader.read(-1)).decode()
    writer.close()
    name = "homing_gateway_pushes_received_total "
    return next(int(float(line.removeprefix(name))) for line in text.splitlines() if line.startswith(name))


async def test_experiment_19_a_router_dies_mid_push_and_nothing_is_doubled_or_lost(pair: Cluster) -> None:
    kills = int(os.environ.get("HOMING_TEST_KILLS", "2"))
    async with connect(pair, pair.gateways[0], "ada", max_queue=None) as client:
        received: list[str] = []
        reading = asyncio.ensure_future(read_pushes(client, received))
        for number in range(kills):
            async with Router(*addresses(pair)) as router:
                reports = await push_and_kill(pair, router, number)
            counts = Counter(outcome for report in reports for outcome in report.counts)
            assert set(counts) <= {Outcome.WRITTEN, Outcome.DUPLICATE}, counts
            await pair.start_router()
        while len(received) < kills * PUSHES:
            await asyncio.sleep(0.05)
        reading.cancel()
    assert Counter(received).most_common(1)[0][1] == 1
    assert len(received) == kills * PUSHES


async def push_and_kill(cluster: Cluster, router: Router, number: int) -> list[Report]:
    """All pushes at once; the router that carries them is killed when the first report is there."""
    pushes = [
        asyncio.ensure_future(router.push(user="ada", event="n", data=n, push_id=f"{number}-{n}"))
        for n in range(PUSHES)
    ]
    await asyncio.wait(pushes, return_when=asyncio.FIRST_COMPLETED)
    victim = cluster.routers.pop(0)
    await victim.kill()
    return await asyncio.gather(*pushes)


async def read_pushes(client: Client, received: list[str]) -> None:
    while True:
        received.append((await client.receive(60))["push"])
