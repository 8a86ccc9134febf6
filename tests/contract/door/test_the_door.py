"""Real sockets against a real listener: docs/promises.md, rows 1-13 (plain), 15, 21-24, 29, 33 on the wire; clients.

The admission behind it records, admits, waits or refuses as a test wants.
"""

import asyncio
import contextlib
import gc
import json
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import websockets

from gateway.door.admission import Origins
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.proxies import NO_PROXIES, TrustedProxies
from gateway.door.routes import Routes
from gateway.door.values import Arrival, Refusal
from gateway.door.websocket_endpoint import WebSocketEndpoint
from gateway.identity.tokens import Tokens
from gateway.tls.contexts import Certificates
from gateway.tls.settings import TlsSection
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.frames import binary_frame, close_frame, text_frame
from gateway.wire.messages import MessageLimits
from gateway.wire.ports import ClientTransport, TransportHandler
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from observability import names
from observability.counters import counters
from tests.support.certificates import Authority
from tests.support.frames import frame, goodbye
from tests.support.heads import head
from tests.support.tokens import PUBLIC_PEM, SHARED, SIGNED, claims, forge, sign, sign_raw

SECONDS = HandshakeLimits(head_seconds=0.3, admission_seconds=0.5)


class Echo:
    """A handler that sends back what arrives."""

    def __init__(self) -> None:
        self.transport: ClientTransport | None = None
        self.pongs = 0
        self.ending: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def on_open(self, transport: ClientTransport) -> None:
        self.transport = transport

    def on_message(self, text: bool, payload: bytes) -> None:
        assert self.transport is not None
        self.transport.send(text_frame(payload) if text else binary_frame(payload))

    def on_pong(self) -> None:
        self.pongs += 1

    def on_partial(self) -> None: ...
    def on_too_large(self, size: int) -> None: ...
    def on_blocked(self) -> None: ...
    def on_writable(self) -> None: ...

    def on_close(self, code: int, reason: str) -> None:
        self.transport = None
        self.ending.set_result((code, reason))


class RecordingAdmission:
    """Lets everybody in, unless a test says otherwise."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.clients: list[Echo] = []
        self.answer: Callable[[], Refusal | None] = lambda: None
        self.make: Callable[[], Echo] = Echo
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def enter(self, arrival: Arrival) -> TransportHandler | Refusal:
        self.arrivals.append(arrival)
        self.asked.set()
        await self.gate.wait()
        refusal = self.answer()
        if refusal is not None:
            return refusal
        self.clients.append(self.make())
        return self.clients[-1]


class Door:
    """A listener with a recording admission behind it, and plain sockets to it."""

    def __init__(
        self,
        limits: HandshakeLimits,
        tls: tuple[Certificates, ssl.SSLContext] | None = None,
        proxies: TrustedProxies = NO_PROXIES,
    ) -> None:
        """`tls`: the listener's side, and that of clients who trust it."""
        self.admission = RecordingAdmission()
        self.endpoint = endpoint(self.admission)
        self.certificates, self.tls = tls or (None, None)
        routes = Routes({"/ws": self.endpoint})
        self.listener = ClientListener(routes, limits, counters(names.GATEWAY), self.certificates, proxies)
        self.port = 0
        self.opened: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"{'ws' if self.tls is None else 'wss'}://127.0.0.1:{self.port}/ws"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        self.opened.append(writer)
        return reader, writer

    async def close(self) -> None:
        """End the listener and all connections. One that uvloop must close with its loop is a warning, and so an error,
        after which uvloop waits for ever."""
        await self.listener.close()
        for writer in self.opened:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        for client in self.admission.clients:
            if client.transport is not None:
                await client.ending

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], dict]:
        """One request; the answer's status, headers (lower case) and error, after the connection has closed."""
        reader, writer = await self.connect()
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return parse(answer)

    async def join(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A request that must be answered with 101."""
        reader, writer = await self.connect()
        writer.write(data)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        return reader, writer


async def connect_plainly(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection, whatever the listener speaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    door.opened.append(writer)
    return reader, writer


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a byte; a reset ends it, too."""
    with contextlib.suppress(ConnectionResetError):
        return await reader.read() == b""
    return True


def endpoint(admission: RecordingAdmission) -> WebSocketEndpoint:
    verify = Tokens([SHARED, SIGNED]).verify
    uploads = UploadRules(MessageLimits(65_536), UnfinishedMessages(10_000_000), lambda _upload, _seconds: None)
    return WebSocketEndpoint(Origins(), uploads, admission, verify, (Bare(), JsonEnvelope()))


def parse(answer: bytes) -> tuple[int, dict[str, str], dict]:
    top, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(headers["content-length"]) == len(body)
    assert "close" in headers["connection"]
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"]
    return int(first.split(" ")[1]), headers, error


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> tuple[Certificates, ssl.SSLContext]:
    authority = Authority(tmp_path_factory.mktemp("tls"))
    pair = authority.issue("gateway.test")
    section = TlsSection(cert_file=pair.cert, key_file=pair.key)
    return Certificates(section), ssl.create_default_context(cafile=authority.ca)


@pytest.fixture(params=["plain", "tls"])
async def door(request) -> AsyncIterator[Door]:
    door = Door(SECONDS, request.getfixturevalue("tls") if request.param == "tls" else None)
    _, door.port = await door.listener.listen("127.0.0.1", 0)
    yield door
    await door.close()


def good(**changes) -> bytes:
    return head(f"/ws?token={sign()}", **changes)


@pytest.mark.parametrize(
    ("data", "status", "header"),
    [
        pytest.param(head(method="POST"), 405, ("allow", "GET"), id="row_01"),
        pytest.param(head(method="PUT", content_length="2") + b"hi", 405, ("allow", "GET"), id="row_01_body"),
        pytest.param(head(version="HTTP/1.0"), 400, None, id="row_02_1_0"),
        pytest.param(head(version="HTTP/9.9"), 505, None, id="row_02_9_9"),
        pytest.param(head(host=None), 400, None, id="row_03_none"),
        pytest.param(head(extra="Host: b\r\n"), 400, None, id="row_03_two"),
        pytest.param(head(upgrade="h2c"), 426, ("upgrade", "websocket"), id="row_04_h2c"),
        pytest.param(head(upgrade=None, connection=None), 426, ("upgrade", "websocket"), id="row_04_none"),
        pytest.param(head(connection="keep-alive"), 400, None, id="row_05"),
        pytest.param(head(sec_websocket_key=None), 400, None, id="row_06_none"),
        pytest.param(head(sec_websocket_key="AAAAAAAAAAAAAAAAAAAA"), 400, None, id="row_06_15_bytes"),
        pytest.param(head(sec_websocket_key="A" * 23 + "="), 400, None, id="row_06_17_bytes"),
        pytest.param(head(sec_websocket_version=None), 426, ("sec-websocket-version", "13"), id="row_07_none"),
        pytest.param(head(sec_websocket_version="13, 8"), 426, ("sec-websocket-version", "13"), id="row_07_list"),
        pytest.param(head(content_length="4") + b"GET ", 400, None, id="row_08_length"),
        pytest.param(head(transfer_encoding="chunked") + b"0\r\n\r\n", 400, None, id="row_08_chunked"),
        pytest.param(head(content_length="4", transfer_encoding="chunked"), 400, None, id="row_09_both"),
        pytest.param(head(content_length="+5"), 400, None, id="row_09_plus"),
        pytest.param(head(extra="X: a\nY: b\r\n"), 400, None, id="row_10_lf"),
        pytest.param(head(extra="X: a\rTransfer-Encoding: chunked\r\n"), 400, None, id="row_10_cr"),
        pytest.param(head(extra="X: a\r\n b\r\n"), 400, None, id="row_10_fold"),
        pytest.param(head(extra="X: \0\r\n"), 400, None, id="row_10_nul"),
        pytest.param(head(extra="X : a\r\n"), 400, None, id="row_10_space"),
        pytest.param(head(extra="X: a\r\n" * 65), 431, None, id="row_11_65"),
        pytest.param(head(extra="X: a\r\n" * 2000), 431, None, id="row_11_2000"),
        pytest.param(head(extra=f"X: {'a' * 9216}\r\n"), 431, None, id="row_12_header"),
        pytest.param(head("/ws?" + "a" * 9216), 414, None, id="row_12_url"),
        pytest.param(head(extra="X: " + "a" * 5_000_000 + "\r\n"), 431, None, id="row_12_flood"),
        pytest.param(head("?x=1"), 400, None, id="target_without_a_path"),
        pytest.param(head("/elsewhere"), 404, None, id="unknown_path"),
    ],
)
async def test_bad_heads(door, data, status, header):
    found, headers, error = await door.ask(data)
    assert found == status, error
    if header:
        assert headers[header[0]] == header[1]
    assert not door.admission.arrivals


async def test_row_05_connection_may_be_a_list(door):
    _, writer = await door.join(good(connection="keep-alive, Upgrade"))
    writer.close()


@pytest.mark.parametrize("data", [b"", b"G", head()[:-1]], ids=["silence", "a byte", "all but the end"])
async def test_row_13_a_head_that_does_not_come(door, data):
    begin = time.monotonic()
    status, _, _ = await door.ask(data)
    assert status == 408
    assert 0.2 < time.monotonic() - begin < 2


async def test_row_13_a_drip_does_not_earn_more_time(door):
    begin = time.monotonic()
    reader, writer = await door.connect()

    async def drip() -> None:
        for byte in head()[:40]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    answer = await reader.read()
    await dripping
    writer.close()
    assert parse(answer)[0] == 408
    assert time.monotonic() - begin < 2


async def test_row_15_frames_behind_the_handshake(door):
    reader, writer = await door.join(good() + frame(b"first") + frame(b"second")[:3])
    writer.write(frame(b"second")[3:])
    assert await reader.readexactly(15) == text_frame(b"first") + text_frame(b"second")
    writer.close()


@pytest.mark.parametrize("door", ["plain"], indirect=True)  # over TLS it does not come in one piece
async def test_row_15_at_most_so_much_is_held(door):
    status, _, error = await door.ask(good() + frame(b"x" * 65536))
    assert (status, error["code"]) == (413, "too_large")


async def test_row_15_a_large_head_with_a_frame_behind_it(door):
    reader, writer = await door.join(good(cookie="c" * 6000) + frame(b"x" * 50_000, 2))
    assert await reader.readexactly(50_004) == binary_frame(b"x" * 50_000)
    writer.close()


async def test_row_20_a_cookie_is_no_credential(door):
    assert (await door.ask(head(cookie=f"token={sign()}")))[0] == 401


async def test_row_21_no_credential(door):
    status, headers, error = await door.ask(head())
    assert (status, error["code"]) == (401, "unauthorized")
    assert headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(forge({"alg": "none"}, claims()), id="row_22_none"),
        pytest.param(forge({"alg": "nOnE"}, claims()), id="row_22_nOnE"),
        pytest.param(sign_raw(b'{"iss":"x"}'), id="row_22_unknown_issuer"),
        pytest.param(forge({"alg": "HS256"}, claims(SIGNED), PUBLIC_PEM), id="row_23"),
        pytest.param(forge({"alg": "RS256"}, claims()), id="row_24"),
        pytest.param(sign(aud="other"), id="row_29_aud"),
        pytest.param(sign(aud=["homing", "other"]), id="row_29_aud_mix"),
        pytest.param(sign(iss=SHARED.iss[:-1]), id="row_29_iss"),
        pytest.param(sign(exp=int(time.time()) - 60), id="row_29_exp"),
        pytest.param(sign(exp=None), id="row_29_no_exp"),
        pytest.param(sign(nbf=int(time.time()) + 3600), id="row_29_nbf"),
        pytest.param("x" * 7000, id="row_30"),
    ],
)
async def test_bad_tokens(door, token, caplog):
    caplog.set_level(logging.DEBUG)
    for data in (head(f"/ws?token={token}"), head(authorization=f"Bearer {token}")):
        status, headers, error = await door.ask(data)
        assert (status, error["code"]) == (401, "invalid_token")
        assert 'error="invalid_token"' in headers["www-authenticate"]
    assert len([record for record in caplog.records if record.name.startswith("gateway")]) == 2
    assert token[-20:] not in caplog.text + str([vars(record) for record in caplog.records])
    assert not door.admission.arrivals


async def test_row_33_an_envelope_may_come_without_a_token(door):
    reader, writer = await door.join(head(sec_websocket_protocol="homing.json"))
    arrival = door.admission.arrivals[0]
    assert arrival.identity is None
    assert arrival.codec.name == "homing.json"
    door.admission.clients[0].transport.close(4401, "unauthorized")
    assert await reader.readexactly(16) == close_frame(4401, "unauthorized")
    writer.write(goodbye(4401))
    assert await reader.read() == b""
    writer.close()
    assert await door.admission.clients[0].ending == (4401, "unauthorized")


async def test_an_arrival_says_who_and_from_where(door):
    _, writer = await door.join(head(f"/ws?file=doc&token={sign(SIGNED)}"))
    arrival = door.admission.arrivals[0]
    host, port = writer.get_extra_info("sockname")
    assert arrival.address == f"{host}:{port}" == door.admission.clients[0].transport._address
    assert (arrival.identity.user, arrival.identity.auth_type, arrival.files) == ("ada", "signed", ("doc",))
    writer.close()
    assert await door.admission.clients[0].ending == (1006, "")


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_row_19_origin(door, origin):
    assert (await door.ask(good(origin=origin)))[0] == 403


async def test_the_house_may_refuse(door):
    door.admission.answer = lambda: Refusal(503, "unavailable", "draining", (("Retry-After", "1"),))
    status, headers, error = await door.ask(good())
    assert (status, headers["retry-after"], error["code"]) == (503, "1", "unavailable")


async def test_an_admission_that_fails_is_our_fault_and_says_nothing_of_it(door, caplog):
    def fail() -> None:
        raise RuntimeError("a secret of ours")

    door.admission.answer = fail
    status, _, error = await door.ask(good())
    assert (status, error["code"]) == (500, "internal")
    assert "secret" not in error["message"]
    assert "a secret of ours" in caplog.text
    door.admission.answer = lambda: None
    (await door.join(good()))[1].close()


async def test_an_admission_that_does_not_answer(door, caplog):
    door.admission.gate.clear()
    assert (await door.ask(good()))[0] == 503


async def test_an_admission_that_answers_after_the_client_was_refused(door, caplog, monkeypatch):
    late = Echo()

    async def enter(arrival: Arrival) -> TransportHandler:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return late

    monkeypatch.setattr(door.admission, "enter", enter)
    assert (await door.ask(good()))[0] == 503
    assert await late.ending == (1006, "")


async def test_what_is_said_at_once_is_with_the_kernel_at_once(door):
    class Greeter(Echo):
        def on_open(self, transport: ClientTransport) -> None:
            super().on_open(transport)
            self.taken = transport.send(text_frame(b"hello"))

    door.admission.make = Greeter
    reader, writer = await door.join(good() + frame(b"x"))
    assert await reader.readexactly(10) == text_frame(b"hello") + text_frame(b"x")
    assert door.admission.clients[0].taken
    writer.close()


async def test_a_connections_incarnation_leaves_no_circle(door):
    """What reference counting frees costs no pause of the collector."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.disable()
    try:
        for data in (good() + frame(b"x") + goodbye(), good() + frame(b"x")[:-1], head(), head()[:-1]):
            reader, writer = await door.connect()
            writer.write(data)
            await reader.read(10)
            writer.close()
            await writer.wait_closed()
        for client in door.admission.clients:
            await client.ending
        while door.listener.pending:
            await asyncio.sleep(0)
        gc.collect()
        ours = [one for one in gc.garbage if type(one).__module__.startswith("gateway.")]
    finally:
        gc.set_debug(0)
        gc.enable()
        gc.garbage.clear()
    assert ours == []


async def test_a_client_that_leaves_while_the_house_is_asked(door):
    door.admission.gate.clear()
    _, writer = await door.connect()
    writer.write(good())
    await door.admission.asked.wait()
    writer.transport.abort()
    await writer.wait_closed()
    door.admission.gate.set()
    while not door.admission.clients:
        await asyncio.sleep(0)
    assert await door.admission.clients[0].ending == (1006, "")


async def test_what_a_client_sends_meanwhile_stays_with_the_kernel(door):
    door.admission.gate.clear()
    reader, writer = await door.connect()
    writer.write(good())
    await door.admission.asked.wait()
    writer.write(frame(b"x" * 60_000, 2) * 3)
    await asyncio.sleep(0.02)
    door.admission.gate.set()
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(3 * 60_004) == binary_frame(b"x" * 60_000) * 3
    writer.close()


async def test_a_connection_too_many_is_ended_at_once(door):
    door.listener._limits = HandshakeLimits(max_pending=2)
    opened = [await connect_plainly(door) for _ in range(3)]
    assert await ends(opened[-1][0])
    assert (len(door.listener.pending), door.listener._counters.handshakes_refused) == (2, 1)


async def test_closing_the_door_ends_who_is_still_at_it_and_nobody_else(door):
    inside, inside_writer = await door.join(good())
    door.admission.gate.clear()
    door.admission.asked.clear()
    waiting, waiting_writer = await door.connect()
    silent, silent_writer = await door.connect()
    waiting_writer.write(good())
    await door.admission.asked.wait()
    await door.listener.close()
    for reader in (waiting, silent):
        with contextlib.suppress(ConnectionResetError):  # a reset is as good
            assert await reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await door.connect()
    inside_writer.write(frame(b"still here"))
    assert await inside.readexactly(12) == text_frame(b"still here")
    for writer in (inside_writer, waiting_writer, silent_writer):
        writer.close()


async def test_a_port_in_use_is_an_os_error(door):
    other = ClientListener(Routes({}), SECONDS, counters(names.GATEWAY))
    with pytest.raises(OSError, match="in use"):
        await other.listen("127.0.0.1", door.port)
    await other.close()


async def test_a_violation_is_told_even_while_the_client_floods(door):
    reader, writer = await door.join(good())
    writer.write(frame(b"", 3) + b"x" * 3_000_000)
    assert await reader.read() == close_frame(1002, "an unknown opcode")
    writer.close()
    assert await door.admission.clients[0].ending == (1002, "an unknown opcode")


async def test_the_kernel_takes_all_or_says_so(door):
    reader, writer = await door.join(good())
    client = door.admission.clients[0]
    writable = asyncio.Event()
    client.on_writable = writable.set
    assert client.transport.send(text_frame(b"small"))
    assert client.transport.unsent() == 0
    sent = 0
    while client.transport.send(binary_frame(b"x" * 10_000)):  # the first frame that is cut leaves less than its size
        assert client.transport.unsent() == 0
        sent += 1
        assert sent < 2_000, "no kernel takes that much"
    assert 0 < client.transport.unsent() <= 10_004
    assert not writable.is_set()
    await reader.readexactly(7 + 10_004 * (sent + 1))
    await writable.wait()
    assert client.transport.unsent() == 0
    assert client.transport.send(text_frame(b"small"))
    writer.close()


async def test_the_client_websockets(door):
    async with websockets.connect(
        door.url, ssl=door.tls, additional_headers={"Authorization": f"Bearer {sign()}"}
    ) as client:
        for said in ("text é", b"\0binary", "x" * 65536, b"", ""):
            await client.send(said)
            assert await client.recv() == said
        await client.send(["in ", "frag", "ments"])
        assert await client.recv() == "in fragments"
        await (await client.ping())
        door.admission.clients[0].transport.ping()
        await client.send("after")
        assert await client.recv() == "after"
        assert door.admission.clients[0].pongs == 1
        await client.close(4000, "enough")
    assert await door.admission.clients[0].ending == (4000, "enough")


async def test_the_client_websockets_sees_our_close_code(door):
    async with websockets.connect(f"{door.url}?token={sign()}", ssl=door.tls, subprotocols=["homing.json"]) as client:
        assert client.subprotocol == "homing.json"
        door.admission.clients[0].transport.close(4408, "slow")
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.recv()
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4408, "slow")
    assert await door.admission.clients[0].ending == (4408, "slow")


async def test_the_client_aiohttp(door):
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{door.url}?token={sign()}", ssl=door.tls or True) as client,
    ):
        await client.send_str("text é")
        assert await client.receive_str() == "text é"
        await client.send_bytes(b"x" * 65536)
        assert await client.receive_bytes() == b"x" * 65536
        await client.ping(b"hi")
        await client.close(code=4001, message=b"enough")
    assert await door.admission.clients[0].ending == (4001, "enough")


async def test_the_client_aiohttp_sees_a_refusal(door):
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{door.url.replace('ws', 'http', 1)[:-3]}/other", ssl=door.tls or True) as answer:
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "not_found"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(door.url, ssl=door.tls or True)
        assert caught.value.status == 401


async def test_a_storm_of_clients_leaves_nothing_pending(door):
    socks = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(50)]
    writers = [(await door.join(good()))[1] for _ in range(50)]
    for sock in socks:
        sock.close()
    while door.listener.pending:
        await asyncio.sleep(0.01)
    assert not door.endpoint._tasks.running()
    for writer in writers:
        writer.close()
    for client in door.admission.clients:
        assert await client.ending == (1006, "")
