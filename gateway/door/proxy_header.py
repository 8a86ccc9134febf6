"""Core: the header by which a load balancer says whose connection it passes on (PROXY protocol 1 and 2, haproxy.org).

Only read from addresses that are configured as proxies, and then always: a header that is optional could be sent by
anyone. It comes before everything else, TLS included.
"""

import ipaddress
import re
import struct
from typing import NamedTuple

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # of version 2 (§2.2)
MAX_LINE = 107  # bytes of a version 1 header, its CRLF included (§2.1)
MAX_REST = 2048  # bytes behind the first 16 of a version 2 header: addresses, and what a proxy adds to them
_match_line = re.compile(
    rb"PROXY (?:TCP4|TCP6) ([0-9A-Fa-f:.]{2,39}) [0-9A-Fa-f:.]{2,39} ([0-9]{1,5}) [0-9]{1,5}\r\n"
).match
_UNKNOWN = b"PROXY UNKNOWN"
_WIDTHS = {0x11: 4, 0x21: 16}  # bytes of an address, by family and protocol: TCP over IPv4 and IPv6


class ProxyHeader(NamedTuple):
    """A header. `client`: host and port, or None: the proxy's own connection, such as a health check."""

    client: tuple[str, int] | None
    size: int  # bytes


class BadProxyHeader(Exception):
    """The bytes do not begin with a header."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of these bytes; None: it is not complete. Raises BadProxyHeader."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _read_binary(data) if len(data) >= 16 else None
    if data.startswith(b"PROXY"[: len(data)]):
        return _read_line(data)
    raise BadProxyHeader("no PROXY header, which every connection of a trusted proxy must begin with")


def _read_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_LINE) + 2
    if end == 1:
        if len(data) >= MAX_LINE:
            raise BadProxyHeader("the line of the PROXY header does not end")
        return None
    if data[:end].startswith((_UNKNOWN + b" ", _UNKNOWN + b"\r")):
        return ProxyHeader(None, end)
    found = _match_line(data[:end])
    if found is None or int(found[2]) > 65535 or not _is_address(found[1].decode()):
        raise BadProxyHeader("the PROXY header is malformed")
    return ProxyHeader((found[1].decode(), int(found[2])), end)


def _read_binary(data: bytes) -> ProxyHeader | None:
    version, family, rest = struct.unpack_from(">BBH", data, 12)
    if version not in (0x20, 0x21) or rest > MAX_REST:
        raise BadProxyHeader("the PROXY header is of another version, or too long")
    if len(data) < 16 + rest:
        return None
    if version == 0x20 or family not in _WIDTHS:  # LOCAL, or no TCP: the address is not to be used (§2.2)
        return ProxyHeader(None, 16 + rest)
    width = _WIDTHS[family]
    if rest < 2 * width + 4:
        raise BadProxyHeader("the PROXY header is too short for its addresses")
    host = str(ipaddress.ip_address(data[16 : 16 + width]))
    return ProxyHeader((host, struct.unpack_from(">H", data, 16 + 2 * width)[0]), 16 + rest)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
