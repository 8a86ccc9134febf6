"""Socket.IO over several nodes without sticky sessions: polls are relayed, upgrades are taken over."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
import websockets

from gateway.close_codes import DRAINING, FORBIDDEN
from gateway.nodes import relays, take_over
from gateway.nodes.acknowledgements import PATH as ACKNOWLEDGE
from gateway.outcome import DUPLICATE, OFFLINE, WRITTEN
from homing.internal.v1 import node_pb2
from runtime.grpc_wire.shared_secret import SharedSecret
from tests.support.engine_node import EngineNode, Polling, engine_nodes, until

USER = node_pb2.Receivers(user="ada")
FILE = node_pb2.Receivers(file="doc")
AUTH = '{"token":"ada doc","files":["doc"]}'


class Cluster:
    """Two nodes; clients connect at the first one."""

    def __init__(self, one: EngineNode, two: EngineNode, http: aiohttp.ClientSession) -> None:
        self.one = one
        self.two = two
        self.http = http

    async def connected(self, auth: str = AUTH) -> tuple[Polling, str]:
        client = Polling(self.http, self.one.url)
        await client.open()
        return client, await client.connect(auth)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with engine_nodes(2) as (one, two):
        one.rig.clock.now = two.rig.clock.now = 1.0
        async with aiohttp.ClientSession() as http:
            yield Cluster(one, two, http)
        for node in (one, two):
            for engine in list(node.engines._connections.values()):
                engine.close(1000, "")
            node.rig.clock.pass_seconds(30)
        await until(lambda: not len(one.engines) and not len(two.engines))


def outcomes(answers: list[node_pb2.PushAnswer]) -> list[tuple[int, list[int]]]:
    return [(answer.verdict, [count.outcome for count in answer.counts]) for answer in answers]


# Relays -------------------------------------------------------------------------------------------------------------


async def test_polls_and_posts_go_through_any_node(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    other = cluster.two.url
    await client.post('42["a"]', url=other)
    answers: list[node_pb2.PushAnswer] = []
    cluster.one.push(answers, receivers=USER)
    assert await client.poll(other) == ['42["e",1]']
    await until(lambda: bool(answers))
    assert outcomes(answers) == [(node_pb2.DONE, [WRITTEN])]
    waiting = asyncio.ensure_future(client.poll(other))
    await until(lambda: next(iter(cluster.one.engines._connections.values()))._poll is not None)
    cluster.one.push(answers, "q", receivers=USER)
    assert await waiting == ['42["e",1]']
    assert cluster.one.rig.sink.kinds() == ["connect", "join", "message"]
    assert cluster.two.rig.counters.relayed == 3


async def test_an_id_that_the_owner_does_not_know(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    client.query["sid"] = client.sid[:-1] + ("A" if client.sid[-1] != "A" else "B")
    unknown = (400, '{"code":1,"message":"Session ID unknown"}')
    assert await client.request("GET", cluster.two.url) == unknown
    assert await client.request("POST", cluster.two.url, "42[]") == unknown
    client.sid = client.query["sid"]
    with pytest.raises(websockets.InvalidStatus):
        async with client.websocket(cluster.two.url):
            pass


async def test_bad_relayed_requests_are_answered(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    first = asyncio.ensure_future(client.request("GET"))
    await until(lambda: next(iter(cluster.one.engines._connections.values()))._poll is not None)
    assert (await client.request("GET", cluster.two.url))[0] == 400
    assert (await first)[1] == "1"
    client, _ = await cluster.connected()
    assert (await client.request("POST", cluster.two.url, "9"))[0] == 400


async def test_a_lost_owner_is_answered_at_once(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    waiting = asyncio.ensure_future(client.request("GET", cluster.two.url))
    await until(lambda: next(iter(cluster.one.engines._connections.values()))._poll is not None)
    await cluster.one.server.close()
    unknown = (400, '{"code":1,"message":"Session ID unknown"}')
    assert await asyncio.wait_for(waiting, 2) == unknown
    assert await client.request("POST", cluster.two.url, "42[]") == unknown
    with pytest.raises(websockets.InvalidStatus):
        async with client.websocket(cluster.two.url):
            pass
    del cluster.one.directory.nodes[1]
    assert await client.request("GET", cluster.two.url) == unknown


async def test_a_relayed_poll_whose_client_is_gone_is_a_lost_poll(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    waiting = asyncio.ensure_future(client.request("GET", cluster.two.url))
    await until(lambda: next(iter(cluster.one.engines._connections.values()))._poll is not None)
    waiting.cancel()
    await until(lambda: not len(cluster.one.engines))


async def test_who_does_not_know_the_secret_is_refused(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    cluster.two.channels._secret = SharedSecret(b"another secret, wrong")
    assert (await client.request("GET", cluster.two.url))[0] == 400
    assert len(cluster.one.engines) == 1


class Collected:
    """What a call has received."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.status: int | None = None

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_writable(self) -> None: ...
    def on_half_close(self) -> None: ...
    def on_end(self, how: object) -> None:
        self.status = how.status  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [relays.PATH, take_over.PATH, ACKNOWLEDGE])
@pytest.mark.parametrize("message", [b"\xff", b""])
async def test_a_hostile_node(cluster: Cluster, path: str, message: bytes) -> None:
    collected = Collected()
    call = await cluster.two.channels.call(1, path, collected)
    call.send(message)
    call.send(message)
    await until(lambda: collected.status is not None)
    assert collected.status in (0, 3, 5)


async def test_a_node_that_has_begun_anew_is_called_anew(cluster: Cluster) -> None:
    client, _ = await cluster.connected()
    await client.post('42["a"]', url=cluster.two.url)
    known = cluster.one.directory.nodes[1]
    cluster.one.directory.nodes[1] = known._replace(incarnation=known.incarnation._replace(epoch=9))
    await client.post('42["b"]', url=cluster.two.url)
    assert len(cluster.two.channels._channels) == 1


# Take-overs ---------------------------------------------------------------------------------------------------------


async def test_an_upgrade_that_lands_elsewhere_is_taken_over(cluster: Cluster) -> None:
    one, two = cluster.one, cluster.two
    client, sid = await cluster.connected()
    answers: list[node_pb2.PushAnswer] = []
    one.push(answers, "before", receivers=USER, ack_timeout_ms=60_000)
    assert json.loads((await client.poll())[0][2:].partition("[")[0]) > 0
    async with client.websocket(two.url) as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        assert await client.poll() == ["6"]
        one.push(answers, "waits", receivers=USER)
        await websocket.send("5")
        assert await websocket.recv() == '42["e",1]'
        await until(lambda: int(sid) in two.rig.index.sessions)
        session = two.rig.index.sessions[int(sid)]
        assert (session.user, session.files, session.seq) == ("ada", ("doc",), 2)
        await until(lambda: len(answers) == 1)
        one.push(answers, "forwarded", receivers=USER)
        assert await websocket.recv() == '42["e",1]'
        await until(lambda: len(answers) == 2)
        assert outcomes(answers) == [(node_pb2.DONE, [WRITTEN])] * 2
        await websocket.send('42["up"]')
        await until(lambda: two.rig.sink.kinds() == ["message"])
        assert two.rig.sink.records[0].headers["X-Seq"] == "3"
        assert two.rig.counters.taken_over == 1
        await _check_file_push(cluster, websocket)
        await _check_ack(cluster, websocket, answers)
        one.rig.clock.pass_seconds(3)
        assert not one.rig.index.sessions
        assert one.rig.sink.kinds() == ["connect", "join"], "no disconnect: the session goes on"
        repeated: list[node_pb2.PushAnswer] = []
        two.push(repeated, "again", receivers=USER)
        await websocket.recv()
        two.rig.clock.pass_seconds(11)
        two.push(repeated, "later", receivers=USER)
        await websocket.recv()
    await until(lambda: two.rig.sink.kinds()[-1] == "disconnect")


async def _check_file_push(cluster: Cluster, websocket: websockets.ClientConnection) -> None:
    """A push that reaches both owners is written once, and counted once."""
    first: list[node_pb2.PushAnswer] = []
    second: list[node_pb2.PushAnswer] = []
    cluster.two.push(second, "both", receivers=FILE)
    assert await websocket.recv() == '42["e",1]'
    cluster.one.push(first, "both", receivers=FILE)
    await until(lambda: bool(first))
    assert outcomes(second) == [(node_pb2.DONE, [WRITTEN])]
    assert outcomes(first) == [(node_pb2.NOT_MINE, [])]


async def _check_ack(
    cluster: Cluster, websocket: websockets.ClientConnection, answers: list[node_pb2.PushAnswer]
) -> None:
    """An ack of a push that the old owner has written reaches it."""
    number = next(iter(cluster.one.acks._waiting))
    await websocket.send(f'43{number}["late"]')
    await until(lambda: len(answers) == 3)
    assert answers[-1].deliveries[0].ack_data == b'"late"'
    await websocket.send("439[]")  # of no node
    await websocket.send(f"43{number + 3}[]")  # of a node that is not there


async def test_a_retry_over_a_take_over_does_not_double(cluster: Cluster) -> None:
    client, sid = await cluster.connected()
    answers: list[node_pb2.PushAnswer] = []
    for caller in ("", "billing"):
        cluster.one.push(answers, "same", receivers=USER, dedup=True, caller=caller)
    assert await client.poll() == ['42["e",1]', '42["e",1]']
    await until(lambda: len(answers) == 2)
    cluster.one.push(answers, "waits", receivers=USER, dedup=True)
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        await until(lambda: int(sid) in cluster.two.rig.index.sessions)
        await until(lambda: len(answers) == 3)
        cluster.one.push(answers, "forwarded", receivers=USER, dedup=True, caller="billing")
        await until(lambda: len(answers) == 4)
        for push_id, caller in (("same", ""), ("same", "billing"), ("waits", ""), ("forwarded", "billing")):
            cluster.two.push(answers, push_id, receivers=USER, dedup=True, caller=caller)
        await until(lambda: len(answers) == 8)
        assert outcomes(answers[4:]) == [(node_pb2.DONE, [DUPLICATE])] * 4
        assert [await websocket.recv() for _ in range(2)] == ['42["e",1]'] * 2


async def test_what_the_old_owner_is_told_is_done_by_the_new_one(cluster: Cluster) -> None:
    client, sid = await cluster.connected()
    await client.connect('{"token":"ada"}', "/chat,")
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        await until(lambda: int(sid) in cluster.two.rig.index.sessions)
        session = cluster.one.rig.index.sessions[int(sid)]
        given = session.connection
        assert given is not None
        given.request_reconnect(close=True)
        assert given.unsent() == 0
        given.send(session.codec.joined("x"))
        assert await websocket.recv() == '42["homing:joined","x"]'
        taken = cluster.two.rig.index.sessions[int(sid)].connection
        assert taken is not None
        taken.send(session.codec.left("x"))
        assert await websocket.recv() == '42["homing:left","x"]'
        assert (taken.unsent(), taken.seen_at > 0) == (0, True)
        given.disconnect(session, FORBIDDEN, "removed")
        assert await websocket.recv() == "41"
        lost: list[node_pb2.PushAnswer] = []
        cluster.one.push(lost, "x", receivers=node_pb2.Receivers(sessions=node_pb2.SessionList(sids=[int(sid)])))
        await until(lambda: bool(lost))
        assert outcomes(lost) == [(node_pb2.DONE, [OFFLINE])]
        given.close(DRAINING)
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1012
    await until(lambda: not cluster.one.rig.index.sessions)


async def test_the_msgpack_parser_and_engine_io_alone_are_taken_over(cluster: Cluster) -> None:
    client = Polling(cluster.http, cluster.one.url, "/engine.io/", token="ada")
    await client.open()
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        await until(lambda: len(cluster.two.rig.index.sessions) == 1)
        await websocket.send("4up")
        await until(lambda: cluster.two.rig.sink.kinds() == ["message"])
    client = Polling(cluster.http, cluster.one.url)
    await client.open()
    await client.post('4{"type":0,"nsp":"/","data":{"token":"ada"}}')
    await client.poll()
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        answers: list[node_pb2.PushAnswer] = []
        await until(lambda: len(cluster.two.rig.index.sessions) == 1)
        cluster.two.push(answers, receivers=USER)
        assert isinstance(await websocket.recv(), bytes)


async def test_a_client_without_a_namespace_is_taken_over(cluster: Cluster) -> None:
    client = Polling(cluster.http, cluster.one.url)
    await client.open()
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        await websocket.send(f"40{AUTH}")
        assert (await websocket.recv()).startswith("40{")
        assert len(cluster.two.rig.index.sessions) == 1


async def test_a_refusal_that_waits_goes_along(cluster: Cluster) -> None:
    client = Polling(cluster.http, cluster.one.url)
    await client.open()
    await client.post('40{"token":"bad"}')
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        assert str(await websocket.recv()).startswith("44{")


async def test_a_connect_that_goes_on_is_waited_for(cluster: Cluster) -> None:
    client = Polling(cluster.http, cluster.one.url)
    await client.open()
    gate = asyncio.Event()
    wait_lease_state = cluster.one.rig.lease.wait_lease_state

    async def slow() -> object:
        await gate.wait()
        return await wait_lease_state()

    cluster.one.rig.lease.wait_lease_state = slow  # type: ignore[method-assign,assignment]
    await client.post(f"40{AUTH}")
    async with client.websocket(cluster.two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        await until(
            lambda: next(iter(cluster.one.engines._connections.values()))._handler._handler._on_idle is not None
        )
        gate.set()
        assert (await websocket.recv()).startswith("40{")
        await until(lambda: len(cluster.two.rig.index.sessions) == 1)


@pytest.mark.parametrize("step", ["before the probe", "after the probe"])
async def test_a_probe_that_is_given_up_leaves_all_as_it_was(cluster: Cluster, step: str) -> None:
    client, _ = await cluster.connected()
    async with client.websocket(cluster.two.url) as websocket:
        if step == "after the probe":
            await websocket.send("2probe")
            await websocket.recv()
    await until(lambda: next(iter(cluster.one.engines._connections.values()))._probing is None)
    await client.post('42["on"]')
    assert cluster.one.rig.sink.kinds() == ["connect", "join", "message"]


@pytest.mark.parametrize("why", ["old", "twice", "lapsed", "draining", "owner gone", "owner refuses"])
async def test_a_take_over_that_is_not_possible(cluster: Cluster, why: str) -> None:
    client, _ = await cluster.connected()
    one, two = cluster.one, cluster.two
    async with client.websocket(two.url) as websocket, client.websocket() as local:
        if why == "old":
            next(iter(one.engines._connections.values())).began_ns -= 60_000_000_000
        if why == "twice":
            await local.send("2probe")
            await local.recv()
        if why == "owner gone":
            await one.server.close()
        await websocket.send("2probe")
        if why in ("lapsed", "draining", "owner refuses"):
            await websocket.recv()
            one.may_act = why != "lapsed"
            if why == "draining":
                two.rig.admission.close()
            if why == "owner refuses":
                next(iter(one.engines._connections.values())).close(1012, "draining")
            await websocket.send("5")
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
    assert not two.rig.index.sessions


async def test_a_new_owner_that_is_lost_before_it_has_registered(cluster: Cluster) -> None:
    one, two = cluster.one, cluster.two
    client, sid = await cluster.connected()
    never = asyncio.Event()

    async def hang(*_: object) -> bool:
        return await never.wait()

    two.rig.admission.claim = hang  # type: ignore[method-assign]
    async with client.websocket(two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        await websocket.send("5")
        await until(lambda: getattr(one.rig.index.sessions[int(sid)].connection, "_sinks", None) is not None)
        await until(lambda: len(two.engines) == 1)
        two.channels.close()
        await until(lambda: not one.rig.index.sessions)
        assert one.rig.sink.kinds()[-1] == "disconnect"


async def test_a_new_owner_that_may_not_keep_the_session(cluster: Cluster) -> None:
    one, two = cluster.one, cluster.two
    client, _ = await cluster.connected()
    async with client.websocket(two.url) as websocket:
        await websocket.send("2probe")
        await websocket.recv()
        claim = two.rig.admission.claim

        async def too_late(*arguments: object) -> bool:
            two.rig.admission.close()
            return await claim(*arguments)  # type: ignore[arg-type]

        two.rig.admission.claim = too_late  # type: ignore[method-assign]
        await websocket.send("5")
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1012
    await until(lambda: not one.rig.index.sessions and not two.rig.index.sessions)
