"""Socket.IO and Engine.IO on one node, over real sockets. docs/promises.md, rows 57 to 62."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
import websockets

from gateway.close_codes import DRAINING, FORBIDDEN
from gateway.door import handshake
from gateway.door.handshake import HandshakeLimits
from homing.internal.v1 import node_pb2
from tests.support.engine_node import MAX_MESSAGE, ORIGIN, EngineNode, Polling, engine_nodes, until

USER = node_pb2.Receivers(user="ada")
TEXT = {"Content-Type": "text/plain"}


class Client:
    """A node, and clients of it."""

    def __init__(self, node: EngineNode, http: aiohttp.ClientSession) -> None:
        self.node = node
        self.http = http

    def polling(self, path: str = "/socket.io/", **query: str) -> Polling:
        return Polling(self.http, self.node.url, path, **query)

    async def connected(self) -> tuple[Polling, str]:
        client = self.polling()
        await client.open()
        return client, await client.connect()

    def kinds(self) -> list[str]:
        return self.node.rig.sink.kinds()


@pytest.fixture
async def made() -> AsyncIterator[Client]:
    async with engine_nodes() as (node,):
        async with aiohttp.ClientSession() as http:
            yield Client(node, http)
        for engine in list(node.engines._connections.values()):
            engine.close(1000, "")
        node.rig.clock.pass_seconds(30)
        await until(lambda: not len(node.engines))


async def test_a_client_polls(made: Client) -> None:
    client = made.polling()
    facts = await client.open()
    assert (facts["upgrades"], facts["pingInterval"], facts["pingTimeout"]) == (["websocket"], 50_000, 20_000)
    assert facts["maxPayload"] == MAX_MESSAGE
    sid = await client.connect('{"token":"ada doc","files":["doc"]}')
    await client.post('421["save",{"a":1}]', '42["again"]')
    assert made.kinds() == ["connect", "join", "message", "message"]
    record = made.node.rig.sink.records[2]
    assert record.headers["X-ID"] == sid
    assert [record.headers[name] for name in ("X-Name", "X-Ack", "X-Namespace", "X-Guid")] == ["save", "1", "/", "doc"]
    assert (record.value, record.headers["Content-Type"]) == (b'[{"a":1}]', "application/vnd.homing.args+json")


async def test_a_push_is_written_when_a_poll_has_fetched_it(made: Client) -> None:
    client, _ = await made.connected()
    answers: list[node_pb2.PushAnswer] = []
    made.node.push(answers, receivers=USER)
    made.node.push(answers, "q", receivers=USER, content_type="a/b", data=b"x")
    await asyncio.sleep(0)
    assert not answers
    place = '{"_placeholder":true,"num":0}'
    assert await client.poll() == ['42["e",1]', f'451-["e",{place}]', "b" + base64.b64encode(b"x").decode()]
    await until(lambda: len(answers) == 2)
    assert [count.outcome for answer in answers for count in answer.counts] == [2, 2]
    waiting = asyncio.ensure_future(client.poll())
    await until(lambda: next(iter(made.node.engines._connections.values()))._poll is not None)
    made.node.push(answers, "r", receivers=USER)
    assert await waiting == ['42["e",1]']
    assert len(answers) == 3


async def test_a_push_s_ack_is_socket_io_s_own(made: Client) -> None:
    client, _ = await made.connected()
    answers: list[node_pb2.PushAnswer] = []
    made.node.push(answers, receivers=USER, ack_timeout_ms=5000)
    (event,) = await client.poll()
    number = event[2 : event.index("[")]
    await client.post(f'43{number}["thanks"]')
    assert (answers[0].counts[0].outcome, answers[0].deliveries[0].ack_data) == (1, b'"thanks"')


async def test_namespaces_are_sessions(made: Client) -> None:
    client, first = await made.connected()
    second = await client.connect('{"token":"ada"}', "/chat,")
    assert first != second
    await client.post("40/nowhere,", "40/chat?x=1,{}")
    assert await client.poll() == ['44/nowhere,{"message":"Invalid namespace"}', "1"]


async def test_a_push_reaches_its_namespace(made: Client) -> None:
    client, _ = await made.connected()
    await client.connect('{"token":"ada"}', "/chat,")
    answers: list[node_pb2.PushAnswer] = []
    for namespace in ("/chat", "/", "*"):
        made.node.push(answers, namespace, receivers=node_pb2.Receivers(user="ada", namespace=namespace))
    assert await client.poll() == ['42/chat,["e",1]', '42["e",1]', '42["e",1]', '42/chat,["e",1]']


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        ("", "unauthorized"),
        ('{"token":"bad"}', "invalid_token"),
        ('{"token":"ada","files":["doc"]}', "forbidden"),
        ('{"token":"ada","files":"doc"}', "bad_request"),
        ('{"token":"ada a b c d","files":["a","b","c","d"]}', "forbidden"),
    ],
)
async def test_a_connect_that_is_refused(made: Client, auth: str, code: str) -> None:
    client = made.polling()
    await client.open()
    await client.post(f"40{auth}")
    (answer,) = await client.poll()
    assert json.loads(answer[2:])["data"]["code"] == code


async def test_a_fault_of_ours_ends_the_connection(made: Client) -> None:
    client = made.polling()
    await client.open()
    made.node.rig.verify = None  # type: ignore[method-assign,assignment]
    made.node.socketio._services = made.node.socketio._services._replace(verify=None)  # type: ignore[arg-type]
    broken = made.polling()
    await broken.open()
    await broken.post('40{"token":"ada"}')
    assert await broken.poll() == ["1"]


async def test_files_by_reserved_events(made: Client) -> None:
    client, _ = await made.connected()
    await client.post('421["homing:join","doc"]', '422["homing:join","other"]', '423["homing:join"]')
    await client.post('424["homing:leave","doc"]', '425["homing:other"]', f'426["{"x" * 200}"]', '42["homing:join",1]')
    answers = [await client.poll()]
    if len(answers[0]) < 7:
        answers.append(await client.poll())
    found = {text[2:3]: text for one in answers for text in one}
    assert '{"ok":true}' in found["3"] or any('"ok":true' in text for one in answers for text in one)
    assert sum('"forbidden"' in text for one in answers for text in one) == 1
    assert sum('"bad_message"' in text for one in answers for text in one) == 4


async def test_a_client_leaves_a_namespace(made: Client) -> None:
    client, _ = await made.connected()
    await client.post("41", '42["late"]')
    assert made.kinds() == ["connect", "disconnect"]
    assert made.node.rig.sink.records[-1].headers["X-Reason"] == "1000 client namespace disconnect"
    made.node.rig.clock.pass_seconds(11)
    assert await client.poll() == ["1"]


async def test_a_disconnect_closes_the_namespace_or_the_transport(made: Client) -> None:
    client, sid = await made.connected()
    session = made.node.rig.index.sessions[int(sid)]
    assert session.connection is not None
    session.connection.disconnect(session, FORBIDDEN, "removed")
    assert await client.poll() == ["41"]
    assert made.node.rig.sink.records[-1].headers["X-Reason"] == "4403 removed"
    sid = await client.connect()
    session = made.node.rig.index.sessions[int(sid)]
    assert session.connection is not None
    session.connection.disconnect(session, DRAINING, "come back")
    assert await client.poll() == ["1"]
    assert await client.request("GET") == (400, '{"code":1,"message":"Session ID unknown"}')
    assert made.node.rig.sink.records[-1].headers["X-Reason"] == "1012 come back"


async def test_a_client_without_a_namespace_is_closed(made: Client) -> None:
    client = made.polling()
    await client.open()
    polling = asyncio.ensure_future(client.poll())
    await until(lambda: next(iter(made.node.engines._connections.values()))._poll is not None)
    made.node.rig.clock.pass_seconds(11)
    assert await polling == ["1"]


async def test_a_drain_closes_those_without_a_namespace_and_refuses_others(made: Client) -> None:
    client, waiting = made.polling(), made.polling()
    await client.open()
    await waiting.open()
    made.node.rig.admission.close()
    await client.post('40{"token":"ada"}')
    assert await client.poll() == ["1"]
    made.node.socketio.close_waiting()
    assert await waiting.poll() == ["1"]
    status, body = await made.polling().request("GET")
    assert (status, json.loads(body)["code"]) == (503, 3)


async def test_row_57_attachments_that_never_come(made: Client) -> None:
    client, _ = await made.connected()
    await client.post('451-["e",{"_placeholder":true,"num":0}]')
    made.node.rig.clock.pass_seconds(11)
    assert await client.poll() == ["1"]
    assert made.node.rig.sink.records[-1].headers["X-Reason"] == "4400 bad messages"


async def test_row_57_too_many_attachments(made: Client) -> None:
    client, _ = await made.connected()
    await client.post('4511-["e"]')
    assert await client.poll() == ["1"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"EIO": ""}, 5),
        ({"EIO": "3"}, 5),
        ({"transport": "abc"}, 0),
        ({"sid": "__proto__"}, 1),
        ({"sid": "constructor"}, 1),
    ],
)
async def test_row_58_59_bad_requests(made: Client, query: dict[str, str], code: int) -> None:
    status, body = await made.polling(**query).request("GET")
    assert (status, json.loads(body)["code"]) == (400, code)


async def test_row_59_a_guessed_id_is_an_unknown_one(made: Client) -> None:
    client, _ = await made.connected()
    number, _, secret = client.sid.partition(".")
    answers = []
    for guess in (f"{number}.{'A' * 22}", f"{int(number) + 1}.{secret}", "x"):
        client.query["sid"] = guess
        answers.append(await client.request("GET"))
        answers.append(await client.request("POST", body="42[]"))
    assert set(answers) == {(400, '{"code":1,"message":"Session ID unknown"}')}


async def test_row_61_two_polls_at_once(made: Client) -> None:
    client, _ = await made.connected()
    first = asyncio.ensure_future(client.request("GET"))
    await until(lambda: next(iter(made.node.engines._connections.values()))._poll is not None)
    assert (await client.request("GET"))[0] == 400
    assert await first == (200, "1")
    assert (await client.request("GET"))[0] == 400
    assert made.kinds()[-1] == "disconnect"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"4x", {"Content-Type": "application/octet-stream"}, 400),
        (b"9", TEXT, 400),
        (b"4" + b"x" * MAX_MESSAGE, TEXT, 413),
        (b"\xff", TEXT, 400),
    ],
)
async def test_row_62_bad_posts(made: Client, body: bytes, headers: dict[str, str], status: int) -> None:
    client, _ = await made.connected()
    assert (await client.request("POST", body=body, headers=headers))[0] == status


async def test_row_62_a_body_without_a_length(made: Client) -> None:
    client, _ = await made.connected()

    async def parts() -> AsyncIterator[bytes]:
        yield b"42[]"

    assert (await client.request("POST", body=parts(), headers=TEXT))[0] == 411  # type: ignore[arg-type]


async def test_a_body_that_takes_too_long(made: Client) -> None:
    client, _ = await made.connected()
    host, port = made.node.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    target = f"/socket.io/?EIO=4&transport=polling&sid={client.sid}"
    writer.write(f"POST {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n4".encode())
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    made.node.rig.clock.pass_seconds(70)
    assert b" 408 " in await reader.readline()
    writer.close()


async def test_a_poll_whose_client_is_gone_ends_the_connection(made: Client) -> None:
    client, _ = await made.connected()
    polling = asyncio.ensure_future(client.poll())
    await until(lambda: next(iter(made.node.engines._connections.values()))._poll is not None)
    polling.cancel()
    await until(lambda: not len(made.node.engines))
    assert made.node.rig.sink.records[-1].headers["X-Reason"] == "1006"


async def test_a_client_closes(made: Client) -> None:
    client, _ = await made.connected()
    await client.post("1")
    assert made.node.rig.sink.records[-1].headers["X-Reason"] == "1000"


async def test_pings_are_the_protocol_s_own(made: Client) -> None:
    client, _ = await made.connected()
    made.node.rig.clock.now = 1.0
    engine = next(iter(made.node.engines._connections.values()))
    assert engine.ping()
    assert not engine.ping()
    assert await client.poll() == ["2"]
    assert engine.acknowledged() > 0
    assert (engine.is_lost(), engine.unsent(), engine.reading_paused) == (False, 0, False)
    await client.post("3", "6")
    await client.post("2")
    assert (await client.request("GET"))[0] == 400


async def test_while_reading_is_paused_a_post_waits(made: Client) -> None:
    client, _ = await made.connected()
    engine = next(iter(made.node.engines._connections.values()))
    engine.pause_reading()
    posting = asyncio.ensure_future(client.post('42["a"]'))
    await until(lambda: engine._posted is not None)
    assert (await client.request("POST", body='42["b"]'))[0] == 400  # one POST at a time
    assert await asyncio.wait_for(posting, 5) is None
    assert len(made.node.engines) == 0


async def test_a_flood_is_closed(made: Client) -> None:
    client, _ = await made.connected()
    await client.post(*['42["e"]'] * 1200)
    packets = await client.poll()
    assert packets[-1] == "1"
    assert '"rate"' in packets[-2]
    assert made.node.rig.counters.rate_closed == 1


async def test_cors(made: Client) -> None:
    url = f"{made.node.url}/socket.io/?EIO=4&transport=polling"
    async with made.http.options(url, headers={"Origin": ORIGIN}) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    async with made.http.get(url, headers={"Origin": "https://evil.example"}) as answer:
        assert (answer.status, await answer.json()) == (403, {"code": 4, "message": "Forbidden"})
        assert answer.status == 403


async def test_engine_io_alone(made: Client) -> None:
    assert (await made.polling("/engine.io/").request("GET"))[0] == 401
    client = made.polling("/engine.io/", token="ada")
    await client.open()
    await client.post("4hello", "bAQI=")
    assert made.kinds() == ["connect", "message", "message"]
    answers: list[node_pb2.PushAnswer] = []
    made.node.push(answers, receivers=USER)
    assert await client.poll() == ["41"]


async def test_a_failure_of_ours_is_500(made: Client) -> None:
    made.node.next_id = lambda: 1 // 0
    assert (await made.polling().request("GET"))[0] == 500


# WebSockets ---------------------------------------------------------------------------------------------------------


async def test_a_client_begins_on_a_websocket(made: Client) -> None:
    async with made.polling().websocket() as client:
        assert json.loads((await client.recv())[1:])["upgrades"] == []
        await client.send('40{"token":"ada doc"}')
        assert (await client.recv()).startswith("40{")
        await client.send('451-1["e",{"_placeholder":true,"num":0}]')
        await client.send(b"abc")
        await until(lambda: made.kinds() == ["connect", "message"])
        assert made.node.rig.sink.records[-1].value == b"abc"
        engine = next(iter(made.node.engines._connections.values()))
        assert engine.ping()
        assert await client.recv() == "2"
        await client.send("3")
        assert (engine.reading_paused, engine.is_lost()) == (False, False)
        engine.pause_reading()
        engine.resume_reading()
        answers: list[node_pb2.PushAnswer] = []
        made.node.push(answers, receivers=USER)
        assert await client.recv() == '42["e",1]'
        made.node.rig.index.user("ada").__iter__().__next__().connection.request_reconnect(close=True)  # type: ignore[union-attr]
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
        assert client.close_code == 1012


@pytest.mark.parametrize(("message", "code"), [("9", 4400), ("2", 4400), ("4x", 4400), ("4" + "x" * MAX_MESSAGE, 1009)])
async def test_what_a_websocket_may_not_send(made: Client, message: str, code: int) -> None:
    async with made.polling().websocket() as client:
        await client.recv()
        await client.send(message)
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
        assert client.close_code == code


async def test_the_msgpack_parser(made: Client) -> None:
    async with made.polling().websocket() as client:
        await client.recv()
        await client.send('4{"type":0,"nsp":"/","data":{"token":"ada"}}')
        assert msgspec.msgpack.decode(await client.recv())["type"] == 0
        await client.send(msgspec.msgpack.encode({"type": 2, "nsp": "/", "data": ["e", 1]}))
        await until(lambda: made.kinds() == ["connect", "message"])


async def test_an_upgrade_takes_what_waits_along(made: Client) -> None:
    polling, _ = await made.connected()
    async with polling.websocket() as client, polling.websocket() as second:
        await client.send("2probe")
        assert await client.recv() == "3probe"
        await second.send("2probe")
        with pytest.raises(websockets.ConnectionClosed):
            await second.recv()  # docs/promises.md, row 60: the first one survives
        assert await polling.poll() == ["6"]
        answers: list[node_pb2.PushAnswer] = []
        made.node.push(answers, receivers=USER)
        await client.send("5")
        assert await client.recv() == '42["e",1]'
        await until(lambda: len(answers) == 1)
        made.node.push(answers, "q", receivers=USER)
        assert await client.recv() == '42["e",1]'
        await client.send('42["up"]')
        await until(lambda: made.kinds() == ["connect", "message"])
        assert (await polling.request("GET"))[0] == 400
        assert (await polling.request("POST", body="42[]"))[0] == 400
    await until(lambda: made.kinds()[-1] == "disconnect")
    async with made.http.ws_connect(f"{made.node.url}/socket.io/?EIO=4&transport=websocket") as opened:
        assert opened.protocol is None


@pytest.mark.parametrize("messages", [["x"], ["5"], ["2probe", "2probe"], ["2probe", "x"]])
async def test_an_upgrade_that_fails_changes_nothing(made: Client, messages: list[str]) -> None:
    polling, _ = await made.connected()
    async with polling.websocket() as client:
        for message in messages:
            await client.send(message)
        await client.wait_closed()
    await until(lambda: next(iter(made.node.engines._connections.values()))._probing is None)
    await polling.post('42["on"]')
    assert made.kinds() == ["connect", "message"]


async def test_an_upgrade_in_time(made: Client) -> None:
    polling, _ = await made.connected()
    waiting = asyncio.ensure_future(polling.poll())
    await until(lambda: next(iter(made.node.engines._connections.values()))._poll is not None)
    async with polling.websocket() as client:
        await client.send("2probe")
        assert await client.recv() == "3probe"
        assert await waiting == ["6"]
        made.node.rig.clock.pass_seconds(11)
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()


async def test_an_upgrade_of_an_unknown_connection(made: Client) -> None:
    polling, _ = await made.connected()
    polling.sid = polling.sid[:-1] + ("A" if polling.sid[-1] != "A" else "B")
    with pytest.raises(websockets.InvalidStatus):
        async with polling.websocket():
            pass


async def test_a_connection_that_closes_closes_its_probe(made: Client) -> None:
    polling, _ = await made.connected()
    async with polling.websocket() as client:
        await client.send("2probe")
        await client.recv()
        next(iter(made.node.engines._connections.values())).close(1012, "draining")
        with pytest.raises(websockets.ConnectionClosed):
            await client.recv()
    assert await polling.poll() == ["1"]


# Connections between two requests -----------------------------------------------------------------------------------


async def _preflight(made: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that was answered and kept."""
    host, port = made.node.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"OPTIONS /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b" 204 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_a_connection_is_kept_for_the_next_request(made: Client) -> None:
    reader, writer = await _preflight(made)
    assert (len(made.node.listener.idle), len(made.node.listener.pending)) == (1, 0)
    writer.write(b"OPTIONS /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS /socket.io/ HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(2):
        assert b" 204 " in await reader.readuntil(b"\r\n\r\n")
    await made.node.listener.close()
    assert await reader.read() == b""
    writer.close()


async def test_so_many_connections_are_kept_and_no_more(made: Client) -> None:
    made.node.listener._limits = HandshakeLimits(max_idle=1)
    kept, kept_writer = await _preflight(made)
    ended, ended_writer = await _preflight(made)
    assert await ended.read() == b""
    assert len(made.node.listener.idle) == 1
    kept_writer.close()
    ended_writer.close()
    await until(lambda: not made.node.listener.idle)
    assert await kept.read() == b""


async def test_a_connection_is_not_kept_for_long(made: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "KEEP_ALIVE_SECONDS", 0.01)
    reader, writer = await _preflight(made)
    assert await reader.read() == b""
    writer.close()
