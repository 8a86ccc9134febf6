"""The PROXY header, versions 1 and 2 (haproxy.org's proxy-protocol.txt), cut in any way."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.door.proxy_header import SIGNATURE, BadProxyHeader, ProxyHeader, read_proxy_header


def binary(command: int = 0x21, family: int = 0x11, addresses: bytes = b"", more: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(addresses + more)) + addresses + more


V4 = bytes((192, 0, 2, 1, 10, 0, 0, 1)) + struct.pack(">HH", 56324, 443)
V6 = ipaddress.ip_address("2001:db8::1").packed * 2 + struct.pack(">HH", 4, 5)


@pytest.mark.parametrize(
    ("data", "client"),
    [
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", ("192.0.2.1", 56324)),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4 5\r\n", ("2001:db8::1", 4)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        (binary(addresses=V4), ("192.0.2.1", 56324)),
        (binary(addresses=V4, more=b"\x03\x00\x04abcd"), ("192.0.2.1", 56324)),
        (binary(family=0x21, addresses=V6), ("2001:db8::1", 4)),
        (binary(command=0x20), None),
        (binary(command=0x20, addresses=V4), None),
        (binary(family=0x00), None),
        (binary(family=0x31, addresses=bytes(216)), None),
    ],
)
def test_whole_headers(data, client):
    assert read_proxy_header(data + b"GET /") == ProxyHeader(client, len(data))
    for cut in range(len(data)):
        assert read_proxy_header(data[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 99999 443\r\n",
        b"PROXY TCP4 1.2.3.4.5 10.0.0.1 5 443\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 5 443\n" + b" " * 80,
        b"PROXY " + b"x" * 200,
        binary(command=0x11),
        binary(command=0x22, addresses=V4),
        binary(addresses=V4[:8]),
        binary(more=bytes(5000)),
    ],
)
def test_what_is_no_header(data):
    with pytest.raises(BadProxyHeader):
        read_proxy_header(data)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=64).map(lambda rest: SIGNATURE + rest)))
def test_no_bytes_are_an_internal_error(data):
    try:
        header = read_proxy_header(data)
    except BadProxyHeader:
        return
    assert header is None or 0 < header.size <= len(data)
