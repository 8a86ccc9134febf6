"""The port for clients behind a load balancer that sends PROXY headers, before plain HTTP and before TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest

from gateway.door.proxies import ProxySettings, TrustedProxies
from gateway.tls.contexts import Certificates
from gateway.tls.settings import TlsSection
from tests.contract.door.test_the_door import SECONDS, Door, connect_plainly, ends, good
from tests.support.certificates import Authority

HEADER = b"PROXY TCP4 203.0.113.9 10.0.0.1 4242 443\r\n"


@pytest.fixture(params=["plain", "tls"])
async def door(request, tmp_path) -> AsyncIterator[Door]:
    tls = None
    if request.param == "tls":
        authority = Authority(tmp_path)
        pair = authority.issue("gateway.test")
        certificates = Certificates(TlsSection(cert_file=pair.cert, key_file=pair.key))
        tls = certificates, ssl.create_default_context(cafile=authority.ca)
    proxies = TrustedProxies(ProxySettings(trusted=("127.0.0.1",), proxy_protocol=True))
    door = Door(SECONDS, tls, proxies)
    _, door.port = await door.listener.listen("127.0.0.1", 0)
    yield door
    await door.close()


async def connect(door: Door, header: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """With the header in front of everything, in one segment with what follows."""
    reader, writer = await connect_plainly(door)
    writer.write(header)
    if door.tls is not None:
        await writer.start_tls(door.tls, server_hostname="gateway.test")
    return reader, writer


async def test_the_client_is_whom_the_proxy_names(door):
    reader, writer = await connect(door, HEADER)
    writer.write(good())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert door.admission.arrivals[-1].address == "203.0.113.9:4242"


async def test_a_health_check_of_the_proxy_has_its_own_address(door):
    reader, writer = await connect(door, b"PROXY UNKNOWN\r\n")
    writer.write(good())
    await reader.readuntil(b"\r\n\r\n")
    assert door.admission.arrivals[-1].address.startswith("127.0.0.1:")


async def test_header_and_hello_may_come_in_one_segment(door):
    reader, writer = await connect_plainly(door)
    if door.tls is None:
        writer.write(HEADER + good())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = door.tls.wrap_bio(incoming, outgoing, server_hostname="gateway.test")
    front = HEADER
    while True:
        try:
            client.do_handshake()
            return
        except ssl.SSLWantReadError:
            writer.write(front + outgoing.read())
            front = b""
            incoming.write(await reader.read(65536))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00", b"PROXY TCP4 nonsense\r\n"])
async def test_without_a_header_a_proxy_is_not_served(door, data, caplog):
    reader, writer = await connect_plainly(door)
    writer.write(data)
    assert await ends(reader)
    assert "a trusted proxy was not understood" in caplog.text


async def test_a_header_that_does_not_come_ends_the_connection(door):
    reader, writer = await connect_plainly(door)
    writer.write(HEADER[:20])
    assert await ends(reader)
    while door.listener.pending:
        await asyncio.sleep(0)


async def test_others_are_not_proxies(door):
    """Their header is nothing but a bad request, or no TLS."""
    door.listener._proxies = TrustedProxies(ProxySettings(trusted=("192.0.2.1",), proxy_protocol=True))
    reader, writer = await connect_plainly(door)
    writer.write(HEADER)
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
