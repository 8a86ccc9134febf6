"""`homing listen` against a stand-in gateway that closes, refuses and answers as told: what the client makes of it."""

import asyncio
import contextlib
import json

import jwt
import pytest
from aiohttp import WSCloseCode, web

from homing.cluster import devtoken, file
from homing.cluster.trouble import CommandError
from homing.command import client
from homing.command.client import ListeningClient

HELLO = {"type": "hello", "session": "7", "user": "ada", "node": "g", "registered": True}


class StandIn:
    """Plays one script per connection: an int refuses with that status, or says hello and closes with that code."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.tokens = []
        self.joins = []

    async def answer(self, request):
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        script = self.scripts.pop(0)
        if script < 1000:
            raise refusal(script)
        socket = web.WebSocketResponse(protocols=["homing.json"])
        await socket.prepare(request)
        await socket.send_json(HELLO)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                while True:
                    self.joins.append(await socket.receive_json())
        await socket.close(code=script)
        return socket


def refusal(status):
    return {401: web.HTTPUnauthorized, 403: web.HTTPForbidden, 503: web.HTTPServiceUnavailable}[status]()


@pytest.fixture
async def gateway(tmp_path, monkeypatch):
    """Start a stand-in; the cluster file names it; waiting costs no time and is written down."""
    waits = []

    async def no_wait(seconds):
        waits.append(seconds)

    runners = []

    async def start(*scripts):
        stand_in = StandIn(*scripts)
        application = web.Application()
        application.router.add_get("/ws", stand_in.answer)
        runner = web.AppRunner(application)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        stand_in.url = f"ws://127.0.0.1:{port}/ws"
        one = file.Gateway("g", stand_in.url, 1)
        file.write(tmp_path, file.Cluster(etcd=[], redis="", gateways=[one], routers=[], servers={}))
        devtoken.ensure_key(tmp_path)
        monkeypatch.setattr(client, "wait", no_wait)
        monkeypatch.setattr(client.random, "random", lambda: 0.5)
        stand_in.waits = waits
        return stand_in

    yield start
    for runner in runners:
        await runner.cleanup()


def listener(tmp_path, *, files=(), url=None, token=None, as_json=False):
    return ListeningClient("ada", files, url, token, tmp_path, as_json)


async def test_it_joins_prints_and_ends_when_the_server_is_done(gateway, tmp_path, capsys):
    stand_in = await gateway(WSCloseCode.OK)
    await listener(tmp_path, files=["notes", "plan"]).run()
    assert stand_in.joins == [
        {"type": "join", "file": "notes", "id": 0},
        {"type": "join", "file": "plan", "id": 1},
    ]
    assert capsys.readouterr().out == "connected as ada, session 7, on node g\n"
    claims = jwt.decode(stand_in.tokens[0], options={"verify_signature": False})
    assert (claims["sub"], claims["files"]) == ("ada", ["notes", "plan"])


async def test_json_is_passed_through(gateway, tmp_path, capsys):
    await gateway(WSCloseCode.GOING_AWAY)
    await listener(tmp_path, as_json=True).run()
    assert json.loads(capsys.readouterr().out) == HELLO


async def test_it_comes_back_as_the_codes_ask(gateway, tmp_path, capsys):
    stand_in = await gateway(1012, 4408, 1013, 503, 1011, 1000)
    await listener(tmp_path).run()
    assert stand_in.waits == [0.25, 0.5, 6.0, 7.0, 4.0]  # half of 0.5, 1, 2, 4, 8; at least 5 when it is full
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition(";")[0] for line in told] == [
        "the gateway is draining",
        "timed out",
        "the gateway is full",
        "the gateway takes nobody now",
        "the gateway had a fault",
    ]


@pytest.mark.parametrize(
    ("script", "why"),
    [(4409, "replaced by a newer connection"), (4403, "removed"), (1008, "will not have"), (403, "answered 403")],
)
async def test_it_stays_away_when_told_so(gateway, tmp_path, script, why):
    stand_in = await gateway(script)
    with pytest.raises(CommandError, match=why):
        await listener(tmp_path).run()
    assert stand_in.waits == []


async def test_a_bad_token_of_ours_is_made_anew_and_one_of_theirs_is_not(gateway, tmp_path):
    stand_in = await gateway(401, 4401, 1000)
    await listener(tmp_path).run()
    assert len(stand_in.tokens) == 3
    stand_in = await gateway(401)
    with pytest.raises(CommandError, match="the token is missing, bad or over; not coming back"):
        await listener(tmp_path, token="theirs").run()
    assert stand_in.tokens == ["theirs"]


async def test_nobody_there_is_tried_again(gateway, tmp_path, monkeypatch, capsys):
    stand_in = await gateway(1000)

    async def then_the_gateway_moves(seconds):
        running.url = stand_in.url

    monkeypatch.setattr(client, "wait", then_the_gateway_moves)
    running = listener(tmp_path, url="ws://127.0.0.1:1/ws")
    await running.run()
    assert "ws://127.0.0.1:1/ws: cannot connect (Connection refused); trying again in" in capsys.readouterr().err


async def test_what_cannot_work_is_said_at_once(tmp_path):
    with pytest.raises(CommandError, match=r"cluster\.json does not exist"):
        await listener(tmp_path).run()
    with pytest.raises(CommandError, match="is not a WebSocket address"):
        await listener(tmp_path, url="nonsense", token="t").run()
