"""Whose word on a client's address counts."""

import pytest

from gateway.door.head import Head, HeadReader
from gateway.door.proxies import NO_PROXIES, ProxySettings, TrustedProxies
from tests.support.heads import head

PROXIES = TrustedProxies(ProxySettings(trusted=("10.0.0.0/8", "fd00::/8", "192.0.2.7")))


def with_header(value: str | None) -> Head:
    found = HeadReader().feed(head(extra=f"X-Forwarded-For: {value}\r\n" if value is not None else ""))
    assert isinstance(found, Head)
    return found


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::1%eth0", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_who_is_a_proxy(host, trusted):
    assert PROXIES.trusts(host) is trusted
    assert not NO_PROXIES.trusts(host)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (None, "10.0.0.1"),
        ("203.0.113.5", "203.0.113.5"),
        ("203.0.113.5:1234", "203.0.113.5"),
        ("[2001:db8::5]:1234", "2001:db8::5"),
        ("2001:db8::5", "2001:db8::5"),
        ("1.1.1.1, 203.0.113.5, 10.0.0.9", "203.0.113.5"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
        ("203.0.113.5, unknown", "10.0.0.1"),
        ("unknown, 10.0.0.9", "10.0.0.9"),
    ],
)
def test_the_last_address_that_no_proxy_has_is_the_clients(header, client):
    assert PROXIES.forwarded(with_header(header), "10.0.0.1:555") == (client if header else "10.0.0.1")


def test_the_word_of_others_does_not_count():
    spoofed = with_header("203.0.113.5")
    assert PROXIES.forwarded(spoofed, "192.0.2.8:555") == "192.0.2.8:555"
    assert NO_PROXIES.forwarded(spoofed, "10.0.0.1:555") == "10.0.0.1:555"
    by_header = TrustedProxies(ProxySettings(trusted=("10.0.0.0/8",), proxy_protocol=True))
    assert by_header.forwarded(spoofed, "10.0.0.1:555") == "10.0.0.1:555"


@pytest.mark.parametrize("trusted", ["10.0.0.0/33", "proxy.internal", ""])
def test_what_is_no_network_is_a_mistake(trusted):
    with pytest.raises(ValueError, match=r"trusted: .* is no address or network"):
        TrustedProxies(ProxySettings(trusted=(trusted,)))


def test_a_proxy_header_from_nobody_is_a_mistake():
    with pytest.raises(ValueError, match="name the proxies"):
        TrustedProxies(ProxySettings(proxy_protocol=True))
