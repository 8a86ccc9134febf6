"""Core: which peers are trusted proxies, and whose request they pass on."""

import ipaddress

import msgspec

from gateway.door.head import Head

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ProxySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.proxies]`: load balancers in front, whose word on a client's address counts."""

    trusted: tuple[str, ...] = ()  # Their addresses or networks, such as 10.0.0.0/8.
    # Each connection from them begins with a PROXY header (version 1 or 2); otherwise X-Forwarded-For is read.
    proxy_protocol: bool = False


class TrustedProxies:
    """The proxies in front of this gateway."""

    def __init__(self, settings: ProxySettings) -> None:
        """ValueError: what is trusted is no address or network, or a PROXY header is to come from nobody."""
        self._networks: list[Network] = [_network(text) for text in settings.trusted]
        self.proxy_protocol = settings.proxy_protocol
        if settings.proxy_protocol and not settings.trusted:
            raise ValueError("proxy_protocol: name the proxies in `trusted`, such as 10.0.0.0/8")

    def trusts(self, host: str) -> bool:
        """Whether this address is a proxy's."""
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)

    def forwarded(self, head: Head, address: str) -> str:
        """The client's address by X-Forwarded-For, when `address`, the peer's host:port, is a proxy's: the last one
        that no proxy has, without its port. Everything left of it is the client's own word. Otherwise `address`."""
        if not self._networks or self.proxy_protocol:
            return address
        host = address.rpartition(":")[0].strip("[]")
        return self._last_untrusted(head, host) if self.trusts(host) else address

    def _last_untrusted(self, head: Head, host: str) -> str:
        for claimed in reversed(head.tokens("x-forwarded-for")):
            address = _bare_address(claimed)
            if not address:
                return host
            host = address
            if not self.trusts(host):
                return host
        return host


NO_PROXIES = TrustedProxies(ProxySettings())


def _bare_address(claimed: str) -> str:
    """An address that may have a port; "": it is none."""
    text = claimed.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"trusted: {text!r} is no address or network, such as 10.0.0.0/8 or fd00::/8") from None
