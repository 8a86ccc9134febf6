"""The client library against real routers and gateways."""

import asyncio
import contextlib
import os
import signal

import pytest

from homing import Outcome, Refused, Router, SyncRouter
from homing.client.values import NodeUp, SessionConnected, SessionDisconnected, Synced
from tests.support.cluster import Cluster, connect

pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]


def address(cluster: Cluster, number: int = 0) -> str:
    return str(cluster.routers[number].facts["grpc"])


async def test_pushes_of_many_tasks_arrive_in_call_order(three: Cluster) -> None:
    async with connect(three, three.gateways[0], "lib-a", "lib-doc") as client, Router(address(three)) as router:
        pushing = asyncio.gather(*(router.push(file="lib-doc", event="n", data=n) for n in range(1000)))
        received = [(await client.receive())["data"] for _ in range(1000)]
        reports = await pushing
    assert received == list(range(1000))
    assert {(report.counts.get(Outcome.WRITTEN), report.nodes_contacted) for report in reports} == {(1, 1)}


async def test_an_ack_comes_back_as_the_clients_own_value(three: Cluster) -> None:
    async with connect(three, three.gateways[1], "lib-b") as client, Router(address(three)) as router:
        pushing = asyncio.ensure_future(router.push(user="lib-b", event="ask", data="?", ack_timeout=5))
        message = await client.receive()
        await client.send(type="ack", ack=message["ack"], data={"yes": True})
        report = await pushing
    assert report.counts == {Outcome.ACKED: 1}
    (delivery,) = report.deliveries
    assert (delivery.user, delivery.session, delivery.ack) == ("lib-b", client.sid, {"yes": True})


async def test_a_refused_push_names_its_field_and_the_rest_of_the_stream_goes_on(three: Cluster) -> None:
    async with Router(address(three)) as router:
        results = await asyncio.gather(
            router.push(user="lib-nobody", event="fine"),
            router.push(user="lib-nobody", event="homing:join"),
            router.push(user="lib-nobody", event="fine", data=b"{not json"),
            router.push(user="lib-nobody", event="fine"),
            return_exceptions=True,
        )
    assert [type(result).__name__ for result in results] == ["Report", "Refused", "Refused", "Report"]
    assert [result.field for result in results if isinstance(result, Refused)] == ["event", "data"]
    assert results[0].counts == {Outcome.OFFLINE: 1}


async def test_locate_presence_join_leave_watch_and_disconnect(three: Cluster) -> None:
    async with Router(address(three)) as router, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(three, gateway, "lib-c")) for gateway in three.gateways]
        located = await router.locate(user="lib-c")
        assert {route.node for route in located.routes} == {gateway.node for gateway in three.gateways}
        pages = [page async for page in router.presence(user="lib-c", page_size=2)]
        assert [len(page.sessions) for page in pages] == [2, 1]
        sids = sorted(client.sid for client in clients)
        assert sorted(present.session for page in pages for present in page.sessions) == sids
        assert await router.join("lib-pad", user="lib-c") == 3
        assert await router.leave("lib-pad", session=clients[0].sid) == 1
        assert (await router.push(file="lib-pad", event="e")).counts == {Outcome.WRITTEN: 2}
        in_file = [present async for page in router.presence(file="lib-pad") for present in page.sessions]
        assert sorted(present.session for present in in_file) == sorted(client.sid for client in clients[1:])

        watching = router.watch_user("lib-c")
        first = [await anext(watching) for _ in range(4)]
        assert sorted(change.present.session for change in first if isinstance(change, SessionConnected)) == sids
        assert first[3] == Synced()
        assert await router.disconnect(session=clients[2].sid, reason="enough") == 1
        assert await asyncio.wait_for(anext(watching), 5) == SessionDisconnected(clients[2].sid)
        assert (await clients[2].wait_closed())[0] == 4403
        await watching.aclose()

        nodes = router.watch_nodes()
        up = [await anext(nodes) for _ in range(3)]
        assert {change.state.node for change in up if isinstance(change, NodeUp)} == {g.node for g in three.gateways}
        await nodes.aclose()


async def test_the_sync_router(three: Cluster) -> None:
    def script() -> None:
        with SyncRouter(address(three)) as router:
            report = router.push(user="lib-nobody", event="e", data={"n": 1})
            assert report.counts == {Outcome.OFFLINE: 1}
            assert router.locate(user="lib-nobody").routes == ()
            assert [page.total for page in router.presence(user="lib-nobody")] == [0]

    await asyncio.to_thread(script)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_router_killed_amid_pushes_loses_none(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    await cluster.start_router()
    await cluster.start_router()
    async with (
        connect(cluster, gateway, "ada", "doc") as client,
        Router(address(cluster, 0), address(cluster, 1)) as router,
    ):
        pushing = [asyncio.ensure_future(router.push(file="doc", event="n", data=n)) for n in range(2000)]
        seen: dict[str, int] = {}
        while len(seen) < 200:
            message = await client.receive()
            seen[message["push"]] = message["data"]
        await cluster.routers[0].kill()
        reports = await asyncio.gather(*pushing)
        while len(seen) < 2000:
            message = await client.receive()
            assert message["push"] not in seen, "its gateway lives, so it is written once"
            seen[message["push"]] = message["data"]
    assert sorted(seen.values()) == list(range(2000))
    assert {report.push_id for report in reports} == set(seen)
    received = {Outcome.WRITTEN, Outcome.QUEUED, Outcome.DUPLICATE}
    assert all(set(report.counts) <= received for report in reports)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_frozen_router_is_left_for_the_next_one(cluster: Cluster) -> None:
    """With a second router there, a push and another call wait for keepalive, not for limits of 40 and 10 s."""
    gateway = await cluster.start_gateway()
    await cluster.start_router()
    await cluster.start_router()
    async with (
        connect(cluster, gateway, "ada") as client,
        Router(address(cluster, 0), address(cluster, 1)) as router,
    ):
        assert (await router.push(user="ada", event="before")).counts == {Outcome.WRITTEN: 1}
        assert (await router.locate(user="ada")).routes
        frozen = cluster.routers[0].facts["pid"]
        os.kill(frozen, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):
                report, located = await asyncio.gather(
                    router.push(user="ada", event="frozen"), router.locate(user="ada")
                )
        finally:
            os.kill(frozen, signal.SIGCONT)
        assert report.counts == {Outcome.WRITTEN: 1}
        assert located.routes
        assert [(await client.receive())["event"] for _ in range(2)] == ["before", "frozen"]
