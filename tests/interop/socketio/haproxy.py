"""HAProxy in front of several gateways, as docs/proxies.md has it but without TLS: round robin, request by request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.cluster import Service
from tests.support.servers import free_port

ALL_UP = "/all-up"  # answered by HAProxy itself: 200 while every server is up

CONFIGURATION = """
global
    maxconn 1000

defaults
    mode http
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout tunnel 75s
    timeout check 3s

frontend clients
    bind 127.0.0.1:{port}
    option forwardfor
    monitor-uri {all_up}
    monitor fail if {{ nbsrv(gateways) lt {number} }}
    default_backend gateways

backend gateways
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
"""


@asynccontextmanager
async def haproxy(gateways: Sequence[Service], folder: Path) -> AsyncIterator[str]:
    """Start HAProxy; its address, host:port."""
    port = free_port()
    text = CONFIGURATION.format(port=port, all_up=ALL_UP, number=len(gateways))
    for gateway in gateways:
        client, admin = (str(gateway.facts[key]).rpartition("/")[0] or gateway.facts[key] for key in ("url", "admin"))
        address, check = str(client).rpartition("/")[2], str(admin).rpartition(":")[2]
        text += f"    server {gateway.node} {address} check port {check} inter 300ms fall 2 rise 1\n"
    config = folder / "haproxy.cfg"
    config.write_text(text)
    with (folder / "haproxy.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec("haproxy", "-f", str(config), "-db", stdout=log, stderr=log)
    try:
        await wait_all_up(f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def wait_all_up(address: str, within: float = 10.0) -> None:
    """Until HAProxy runs and every server passes its checks."""
    async with asyncio.timeout(within):
        while not await _is_all_up(address):
            await asyncio.sleep(0.05)


async def _is_all_up(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    try:
        writer.write(f"GET {ALL_UP} HTTP/1.0\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    finally:
        writer.close()
