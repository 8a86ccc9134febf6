"""Core: whether an address that a gateway advertises can be dialled by others (RFC 1123 §2.1, RFC 3986 §3.2)."""

import ipaddress
import re

MAX_HOST = 253  # characters of a host name (RFC 1035 §2.3.4, without the trailing dot)

_is_label = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?").fullmatch
_is_port = re.compile(r"[0-9]{1,5}").fullmatch


def why_not_dialable(address: str) -> str:
    """What is wrong with `address` in words; "" when it is host:port, with an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    if not _is_port(port) or not 0 < int(port) < 65536:
        return "it has no port from 1 to 65535"
    if host.startswith("[") and host.endswith("]"):
        return "" if _is_ipv6(host[1:-1]) else f"{host} is no IPv6 address"
    return why_no_host(host)


def why_no_host(host: str) -> str:
    """The same for a host alone: a name of DNS in ASCII, or an IPv4 address."""
    if not 0 < len(host) <= MAX_HOST:
        return f"its host has {len(host)} characters, not 1 to {MAX_HOST}"
    for label in host.removesuffix(".").split("."):
        if not _is_label(label):
            return f"its host has the label {label[:80]!r}: 1 to 63 letters, digits and hyphens make one"
    return ""


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.partition("%")[0]).version == 6
    except ValueError:
        return False
