"""docs/promises.md, row 52, and connections for each address: a real client side behind a real listener, plain and TLS.

The clock of its rates stands still, so that a bucket holds its burst and nothing more.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from gateway.door.address_limit import AddressLimit
from gateway.door.admission import Origins
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.proxies import ProxySettings, TrustedProxies
from gateway.door.routes import Routes
from gateway.door.websocket_endpoint import WebSocketEndpoint
from gateway.tls.contexts import Certificates
from gateway.wire.bare import Bare
from gateway.wire.deflate import CompressionSettings, deflate_framings
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.messages import MessageLimits
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from tests.contract.door.test_the_door import parse, tls  # noqa: F401 - a fixture
from tests.support.gateway import GatewayRig, gateway_rig
from tests.support.heads import head

JSON = [websockets.Subprotocol("homing.json")]
MAX_MESSAGE = 65_536
BURST, BYTE_BURST = 1000, 4_000_000
PROXIED = TrustedProxies(ProxySettings(trusted=("127.0.0.0/8",)))


class Served:
    """A listener in front of a gateway's client side."""

    def __init__(self, rig: GatewayRig, listener: ClientListener, port: int, trust: ssl.SSLContext | None) -> None:
        self.rig = rig
        self.listener = listener
        self.port = port
        self.trust = trust

    def connect(self, **options: object) -> websockets.connect:
        scheme = "ws" if self.trust is None else "wss"
        options = {"compression": None, "ssl": self.trust, "subprotocols": JSON} | options
        return websockets.connect(f"{scheme}://127.0.0.1:{self.port}/ws?token=ada", **options)

    async def request(self, data: bytes) -> tuple[int, dict[str, str], dict]:
        """One request that is refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return parse(answer)


@asynccontextmanager
async def serve(
    keys: tuple[Certificates, ssl.SSLContext] | None = None, per_address: int = 0, proxies: TrustedProxies = PROXIED
) -> AsyncIterator[Served]:
    uploads = UploadRules(MessageLimits(MAX_MESSAGE), UnfinishedMessages(10_000_000), lambda _upload, _seconds: None)
    certificates, trust = keys or (None, None)
    async with gateway_rig() as rig:
        endpoint = WebSocketEndpoint(
            *(Origins(), uploads, rig.authentication, rig.verify, (Bare(), JsonEnvelope()), proxies),
            framings=deflate_framings(CompressionSettings()),
            addresses=AddressLimit(per_address),
        )
        listener = ClientListener(Routes({"/ws": endpoint}), HandshakeLimits(), rig.counters, certificates, proxies)
        _, port = await listener.listen("127.0.0.1", 0)
        yield Served(rig, listener, port, trust)
        await listener.close()
        await rig.lifecycle.wait_no_sessions()


async def received_until_closed(client: websockets.ClientConnection) -> list[dict[str, object]]:
    received = []
    with contextlib.suppress(websockets.ConnectionClosedError):
        while True:
            received.append(json.loads(await client.recv()))
    return received


@pytest.fixture(params=["plain", "tls"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with serve(request.getfixturevalue("tls") if request.param == "tls" else None) as made:
        yield made


async def test_row_52_a_flood_gets_an_error_and_4429(served: Served) -> None:
    async with served.connect() as flood, served.connect() as other:
        for number in range(BURST + 100):
            await flood.send(json.dumps({"type": "ping", "id": number}))
        received = await received_until_closed(flood)
        assert (flood.close_code, flood.close_reason) == (4429, "rate")
        await other.recv()
        await other.send('{"type": "ping", "id": 1}')
        assert json.loads(await other.recv()) == {"type": "pong", "id": 1}
    assert [message["type"] for message in received] == ["hello", *["pong"] * BURST, "error"]
    assert (received[-1]["code"], received[-1]["retry_ms"]) == ("rate", 5000)
    assert served.rig.counters.rate_closed == 1


async def test_row_52_a_bare_client_gets_4429_alone(served: Served) -> None:
    async with served.connect(subprotocols=None) as flood:
        for _ in range(BURST + 1):
            await flood.send("x")
        with pytest.raises(websockets.ConnectionClosed):
            await flood.recv()
        assert (flood.close_code, flood.close_reason) == (4429, "rate")
    events = [kind for kind in served.rig.sink.kinds() if kind not in ("connect", "disconnect")]
    assert len(events) == BURST


async def test_row_52_compressed_messages_count_by_what_they_become(served: Served) -> None:
    """65 KB of one letter are some 80 bytes on the wire."""
    deflate = [ClientPerMessageDeflateFactory()]
    large = json.dumps({"type": "event", "event": "e", "data": "x" * 65_000})
    async with served.connect(extensions=deflate) as flood:
        for _ in range(BYTE_BURST // len(large) + 1):
            await flood.send(large)
        received = await received_until_closed(flood)
        assert (flood.close_code, received[-1]["code"]) == (4429, "rate")


async def test_so_many_connections_from_one_address_and_no_more(tls: tuple[Certificates, ssl.SSLContext]) -> None:  # noqa: F811
    for keys in (None, tls):
        async with serve(keys, per_address=2) as served:
            async with served.connect(), served.connect():
                # Before authentication: nobody learns whether a token is good.
                for path in ("/ws?token=bad", "/ws?token=ada"):
                    status, headers, error = await served.request(head(path))
                    assert (status, headers["retry-after"], error["code"]) == (429, "5", "rate")
                behind = head("/ws?token=bad", extra="X-Forwarded-For: 203.0.113.9\r\n")
                assert (await served.request(behind))[0] == 401
            await served.rig.lifecycle.wait_no_sessions()
            async with served.connect(), served.connect():
                pass


async def test_who_is_not_admitted_does_not_count() -> None:
    async with serve(per_address=1) as served:
        served.rig.admission.close()
        for _ in range(3):
            assert (await served.request(head("/ws?token=ada")))[0] == 503
        served.rig.admission.open()
        async with served.connect():
            pass
