"""nginx and HAProxy in front of a gateway, configured as docs/proxies.md says. `make proxies` runs this."""

import asyncio
import json
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import websockets

from tests.support.calls import push
from tests.support.certificates import Authority, Pair
from tests.support.cluster import Cluster, Service
from tests.support.servers import free_port

pytestmark = [pytest.mark.timeout(60), pytest.mark.compiled]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "proxies.md"
CLIENT = "127.0.0.9"  # the address that clients connect from


class Setup(NamedTuple):
    """One configuration of the page."""

    snippet: str
    program: str
    proxy_header: bool  # and TLS in the gateway; else TLS in the proxy
    version_1: bool = False


SETUPS = (
    Setup("haproxy-tcp.cfg", "haproxy", True),
    Setup("haproxy-tcp.cfg", "haproxy", True, version_1=True),
    Setup("haproxy-http.cfg", "haproxy", False),
    Setup("nginx-http.conf", "nginx", False),
    Setup("nginx-stream.conf", "nginx", True),
)


def snippet(name: str) -> str:
    """A configuration of the page."""
    found = re.search(rf"```\w+\n# {re.escape(name)}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None, f"docs/proxies.md has no {name}"
    return found[1]


def both(pair: Pair, folder: Path) -> str:
    """A certificate and its key in one file."""
    path = folder / "site.pem"
    path.write_bytes(Path(pair.cert).read_bytes() + Path(pair.key).read_bytes())
    return str(path)


class Front:
    """A proxy in front of a gateway."""

    def __init__(self, gateway: Service, port: int, trusting: ssl.SSLContext) -> None:
        self.gateway = gateway
        self.port = port
        self.trusting = trusting

    def connect(self, query: str = "", **headers: str) -> websockets.connect:
        """A client of homing.json, from an address of its own."""
        return websockets.connect(
            f"wss://127.0.0.1:{self.port}/ws{query}",
            ssl=self.trusting,
            local_addr=(CLIENT, 0),
            additional_headers=headers,
            subprotocols=[websockets.Subprotocol("homing.json")],
            compression=None,
        )


@asynccontextmanager
async def running(
    setup: Setup, cluster: Cluster, folder: Path, idle: str = "75s", checked: bool = False
) -> AsyncIterator[Front]:
    """`checked`: HAProxy in front of two gateways, which it asks whether they are ready."""
    program = shutil.which(setup.program)
    assert program is not None, f"no {setup.program}: `make proxies` installs it"
    authority = Authority(folder)
    pair = authority.issue("gateway.test")
    proxies = {"trusted": ["127.0.0.1"], "proxy_protocol": setup.proxy_header}
    tls = {"tls": {"cert_file": pair.cert, "key_file": pair.key}} if setup.proxy_header else {}
    cluster.write_config(proxies=proxies, heartbeat={"interval": 1.0, "timeout": 1.0}, **tls)
    gateway = await cluster.start_gateway()
    await cluster.start_router()
    port = free_port()
    text = snippet(setup.snippet).replace("127.0.0.1:8443", f"127.0.0.1:{port}").replace("75s", idle)
    text = text.replace("127.0.0.1:8400", gateway.url.split("/")[2])
    text = re.sub(r"/etc/\w+/site.pem", both(pair, folder), text).replace("/etc/nginx/site.key", pair.key)
    text = text.replace("send-proxy-v2", "send-proxy" if setup.version_1 else "send-proxy-v2")
    if checked:
        lines = "    timeout check 3s\n    option httpchk\n"
        lines += "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost\n"
        for number, one in enumerate((gateway, await cluster.start_gateway())):
            admin = one.facts["admin"].rpartition(":")[2]
            lines += f"    server g{number} {one.url.split('/')[2]} check port {admin} inter 300ms fall 2 rise 1\n"
        text = re.sub(r"    server gateway-1 .*\n", lines, text)
    if setup.program == "nginx":
        text = text.replace("modules/", "/usr/lib/nginx/modules/")
        text = f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n" + text
        text = text.replace("http {", f"http {{ access_log off; client_body_temp_path {folder}/body;", 1)
    config = folder / setup.snippet
    config.write_text(text)
    arguments = ["-f", str(config), "-db"] if setup.program == "haproxy" else ["-c", str(config), "-p", str(folder)]
    process = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.DEVNULL)
    try:
        await _wait_open(port)
        yield Front(gateway, port, ssl.create_default_context(cafile=authority.ca))
    finally:
        process.terminate()
        await process.wait()


async def _wait_open(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@pytest.fixture(params=SETUPS, ids=lambda setup: f"{setup.snippet}{'-v1' if setup.version_1 else ''}")
def setup(request: pytest.FixtureRequest) -> Setup:
    return request.param


async def test_a_client_a_push_and_the_clients_address(setup: Setup, cluster: Cluster, tmp_path: Path) -> None:
    async with running(setup, cluster, tmp_path) as front:
        async with front.connect(f"?token={cluster.token('ada', 'doc')}&file=doc") as client:
            assert json.loads(await client.recv())["type"] == "hello"
            report = (await cluster.router().Push(push(file="doc"))).report
            assert dict(report.counts) == {"WRITTEN": 1}
            assert json.loads(await client.recv())["type"] == "event"
        spoofed = {"X-Forwarded-For": "203.0.113.7"}
        async with front.connect(**spoofed) as client:
            await client.send(json.dumps({"type": "auth", "token": "no token", "id": 1}))
            await client.wait_closed()
        peers = re.findall(r'"peer": ?"([^"]+)"', front.gateway.log.read_text())
        assert any(peer.startswith(CLIENT) for peer in peers), peers
        assert not any(peer.startswith("203.0.113.7") for peer in peers)


async def test_an_idle_client_outlives_the_proxys_limit_by_heartbeats(
    setup: Setup, cluster: Cluster, tmp_path: Path
) -> None:
    """The limit is 3 s here, and pings come every second."""
    async with (
        running(setup, cluster, tmp_path, idle="3s") as front,
        front.connect(f"?token={cluster.token('ada')}") as client,
    ):
        await client.recv()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.recv(), 5)
        report = (await cluster.router().Push(push(user="ada"))).report
        assert dict(report.counts) == {"WRITTEN": 1}
        assert json.loads(await client.recv())["type"] == "event"


async def test_a_used_connection_may_be_upgraded(setup: Setup, cluster: Cluster, tmp_path: Path) -> None:
    """Keep-alive at the proxy: a plain request is answered first, then a handshake on the same connection."""
    if setup.proxy_header:
        pytest.skip("the gateway itself answers one request per connection")
    async with running(setup, cluster, tmp_path) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port, ssl=front.trusting)
        host = "Host: 127.0.0.1\r\n"
        writer.write(f"GET /nothing HTTP/1.1\r\n{host}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 404")
        await reader.readexactly(int(re.search(r"(?i)content-length: (\d+)", head)[1]))  # type: ignore[index]
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        writer.write(f"GET /ws?token={cluster.token('ada')} HTTP/1.1\r\n{host}{upgrade}{key}\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        writer.close()


async def test_clients_of_a_gateway_that_drains_move_to_another_behind_the_balancer(
    cluster: Cluster, tmp_path: Path
) -> None:
    setup = next(one for one in SETUPS if one.snippet == "haproxy-http.cfg")
    async with running(setup, cluster, tmp_path, checked=True) as front:
        query = f"?token={cluster.token('ada')}"
        async with front.connect(query) as old:
            node = json.loads(await old.recv())["node"]
            leaving = next(one for one in cluster.gateways if one.node == node)
            stopping = asyncio.create_task(leaving.stop())
            moved = json.loads(await asyncio.wait_for(old.recv(), 5))
            assert moved["type"] == "reconnect"
            await asyncio.sleep(moved["after_ms"] / 1000 / 2)
            async with front.connect(query) as new:
                assert json.loads(await new.recv())["node"] != node
                await old.close()
                report = (await cluster.router().Push(push(user="ada"))).report
                assert dict(report.counts) == {"WRITTEN": 1}
                assert json.loads(await new.recv())["type"] == "event"
            assert await stopping == 0
