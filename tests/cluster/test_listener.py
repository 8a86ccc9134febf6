"""`homing listen` against a stub gateway that closes and refuses by script."""

import asyncio
import contextlib
import json
import ssl

import jwt
import pytest
from aiohttp import WSCloseCode, web

from homing.cluster import cluster_file, devtoken
from homing.cluster.errors import CommandError
from homing.command import listening_client
from homing.command.listening_client import ListeningClient
from tests.support.certificates import Authority

HELLO = {"type": "hello", "session": "7", "user": "ada", "node": "g", "registered": True}


class StubGateway:
    """Runs one script per connection: below 1000 an HTTP status that refuses, else the close code after a hello."""

    def __init__(self, *scripts, protocol="homing.json", messages=()):
        self.scripts = list(scripts)
        self.protocol = protocol
        self.messages = messages
        self.tokens = []
        self.joins = []

    async def answer(self, request):
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        script = self.scripts.pop(0)
        if script < 1000:
            raise refusal(script)
        socket = web.WebSocketResponse(protocols=[self.protocol])
        await socket.prepare(request)
        await socket.send_json(HELLO)
        for text in self.messages:
            await socket.send_str(text)
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
    """Starts a stub, and a cluster file that names the stub. Delays take no time and are recorded."""
    delays = []

    async def no_sleep(seconds):
        delays.append(seconds)

    runners = []

    async def start(*scripts, tls=None, **options):
        stub = StubGateway(*scripts, **options)
        application = web.Application()
        application.router.add_get("/ws", stub.answer)
        runner = web.AppRunner(application)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        stub.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/ws"
        entry = cluster_file.GatewayEntry("g", stub.url, 1)
        cluster_file.write(
            tmp_path, cluster_file.ClusterFile(etcd=[], redis="", gateways=[entry], routers=[], servers={})
        )
        devtoken.ensure_key(tmp_path)
        monkeypatch.setattr(listening_client, "sleep", no_sleep)
        monkeypatch.setattr(listening_client.random, "random", lambda: 0.5)
        stub.delays = delays
        return stub

    yield start
    for runner in runners:
        await runner.cleanup()


def make_client(tmp_path, *, files=(), url=None, token=None, as_json=False, ca=None):
    return ListeningClient("ada", files, url, token, tmp_path, as_json, ca)


def server_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


async def test_the_client_joins_prints_and_ends_on_a_normal_close(gateway, tmp_path, capsys):
    stub = await gateway(WSCloseCode.OK)
    await make_client(tmp_path, files=["notes", "plan"]).run()
    assert stub.joins == [
        {"type": "join", "file": "notes", "id": 0},
        {"type": "join", "file": "plan", "id": 1},
    ]
    assert capsys.readouterr().out == "connected as ada, session 7, on node g\n"
    claims = jwt.decode(stub.tokens[0], options={"verify_signature": False})
    assert (claims["sub"], claims["files"]) == ("ada", ["notes", "plan"])


async def test_json_is_passed_through(gateway, tmp_path, capsys):
    await gateway(WSCloseCode.GOING_AWAY)
    await make_client(tmp_path, as_json=True).run()
    assert json.loads(capsys.readouterr().out) == HELLO


async def test_the_client_reconnects_by_the_close_codes(gateway, tmp_path, capsys):
    stub = await gateway(1012, 4408, 1013, 503, 1011, 1000)
    await make_client(tmp_path).run()
    assert stub.delays == [0.25, 0.5, 6.0, 7.0, 4.0]  # half of 0.5, 1, 2, 4, 8; at least 5 for a full gateway
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition(";")[0] for line in lines] == [
        "the gateway is draining",
        "timed out",
        "the gateway is full",
        "the gateway admits no clients now",
        "internal error of the gateway",
    ]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (4409, "replaced by a newer connection"),
        (4403, "removed"),
        (1008, "the gateway refuses this client"),
        (403, "answered 403"),
    ],
)
async def test_the_client_does_not_reconnect_when_forbidden(gateway, tmp_path, script, reason):
    stub = await gateway(script)
    with pytest.raises(CommandError, match=reason):
        await make_client(tmp_path).run()
    assert stub.delays == []


async def test_a_refused_token_is_replaced_unless_the_user_gave_it(gateway, tmp_path):
    stub = await gateway(401, 4401, 1000)
    await make_client(tmp_path).run()
    assert len(stub.tokens) == 3
    stub = await gateway(401)
    with pytest.raises(CommandError, match="the token is missing, invalid or expired; not reconnecting"):
        await make_client(tmp_path, token="given").run()
    assert stub.tokens == ["given"]


async def test_an_unreachable_gateway_is_tried_again(gateway, tmp_path, monkeypatch, capsys):
    stub = await gateway(1000)

    async def then_the_gateway_moves(seconds):
        running.url = stub.url

    monkeypatch.setattr(listening_client, "sleep", then_the_gateway_moves)
    running = make_client(tmp_path, url="ws://127.0.0.1:1/ws")
    await running.run()
    assert "ws://127.0.0.1:1/ws: cannot connect (Connection refused); trying again in" in capsys.readouterr().err


async def test_permanent_errors_are_raised_at_once(tmp_path):
    with pytest.raises(CommandError, match=r"cluster\.json does not exist"):
        await make_client(tmp_path).run()
    with pytest.raises(CommandError, match="is not a WebSocket address"):
        await make_client(tmp_path, url="nonsense", token="t").run()


@pytest.mark.parametrize("url", ["ws://h:x/", "ws://[::1/", "ws://" + "a" * 64 + "/"])
async def test_an_address_that_cannot_be_one_is_not_tried_again(tmp_path, url):
    with pytest.raises(CommandError, match="is not a WebSocket address"):
        await asyncio.wait_for(make_client(tmp_path, url=url, token="t").run(), 5)


async def test_without_a_key_it_ends_at_once_wherever_it_would_connect(gateway, tmp_path):
    stub = await gateway()
    (tmp_path / "dev.key").unlink()
    for url in (None, stub.url):
        with pytest.raises(CommandError, match="no development key"):
            await asyncio.wait_for(make_client(tmp_path, url=url).run(), 5)
    assert stub.delays == stub.tokens == []


async def test_a_server_that_is_no_gateway_is_not_tried_again(gateway, tmp_path):
    stub = await gateway(1000, protocol="chat")
    with pytest.raises(CommandError, match=r"does not speak homing\.json; is it a gateway's /ws\?"):
        await make_client(tmp_path).run()
    assert stub.delays == []


ODD = [
    "no JSON",
    "[1]",
    "5",
    '{"type": "event", "event": "e", "data": ' + "[" * 20_000 + "]" * 20_000 + "}",
    "9" * 5000,
]


async def test_messages_that_cannot_be_read_are_shown_and_the_next_one_is_read(gateway, tmp_path, capsys):
    await gateway(1000, messages=[*ODD, '{"type": "event", "event": "last", "data": 1}'])
    await make_client(tmp_path).run()
    _, *odd, last = capsys.readouterr().out.splitlines()
    assert [line[: len("a message that cannot be read: ") + 9] for line in odd] == [
        "a message that cannot be read: " + text[:9] for text in ODD
    ]
    assert max(map(len, odd)) < 200
    assert last == "last 1"


async def test_with_json_they_are_passed_through(gateway, tmp_path, capsys):
    await gateway(1000, messages=['{"type":\n"event", "data": "\u009b31m"}', *ODD])
    await make_client(tmp_path, as_json=True).run()
    assert capsys.readouterr().out.splitlines()[1:] == ['{"type": "event", "data": "\\u009b31m"}', *ODD]


async def test_over_tls_the_client_trusts_the_authority_that_is_named_and_reconnects(gateway, tmp_path):
    authority = Authority(tmp_path)
    stub = await gateway(1012, 1000, tls=server_context(authority.issue("localhost")))
    await make_client(tmp_path, url=stub.url, ca=tmp_path / "ca.pem").run()
    assert stub.delays == [0.25]


async def test_a_certificate_that_is_not_trusted_ends_the_first_connect_with_the_cure(gateway, tmp_path):
    stub = await gateway(1000, tls=server_context(Authority(tmp_path).issue("localhost")))
    with pytest.raises(CommandError, match=r"certificate is not trusted .* --ca FILE, or in HOMING_CA; not reconnect"):
        await make_client(tmp_path, url=stub.url).run()


async def test_a_certificate_that_is_being_replaced_is_waited_for(gateway, tmp_path, capsys, monkeypatch):
    authority = Authority(tmp_path)
    stub = await gateway(1012, 1000, tls=server_context(authority.issue("localhost")))
    own, other = (tmp_path / "ca.pem").read_bytes(), tmp_path / "other"
    other.mkdir()
    Authority(other)

    async def replace(seconds):
        stub.delays.append(seconds)
        (tmp_path / "ca.pem").write_bytes(own if len(stub.delays) == 2 else (other / "ca.pem").read_bytes())

    monkeypatch.setattr(listening_client, "sleep", replace)
    await make_client(tmp_path, url=stub.url, ca=tmp_path / "ca.pem").run()
    assert len(stub.delays) == 2
    assert "its certificate is not trusted" in capsys.readouterr().err


async def test_tls_to_a_port_that_has_none_says_so(gateway, tmp_path, capsys, monkeypatch):
    stub = await gateway()
    Authority(tmp_path)
    client = make_client(tmp_path, url=stub.url.replace("ws:", "wss:"), ca=tmp_path / "ca.pem")

    async def stop(_seconds):
        raise CommandError("stop")

    monkeypatch.setattr(listening_client, "sleep", stop)
    with pytest.raises(CommandError, match="stop"):
        await client.run()
    assert "cannot connect (TLS: " in capsys.readouterr().err
