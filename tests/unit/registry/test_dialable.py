"""Which addresses a gateway may advertise."""

import pytest

from registry.dialable import why_not_dialable


@pytest.mark.parametrize(
    "address", ["10.0.0.1:8401", "gw-1.internal:1", "gw_1:65535", "[::1]:8401", "[fe80::1%eth0]:1", "a." * 126 + "b:1"]
)
def test_addresses_that_can_be_dialled(address: str) -> None:
    assert why_not_dialable(address) == ""


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("gw", "no port"),
        ("gw:", "no port"),
        ("gw:0", "no port"),
        ("gw:65536", "no port"),
        ("gw:\u0663", "no port"),
        (":1", "0 characters"),
        ("a" * 254 + ":1", "254 characters"),
        ("gw..internal:1", "the label ''"),
        ("-gw:1", "the label '-gw'"),
        ("a" * 64 + ".b:1", "the label"),
        ("gw\udcff:1", "the label"),
        ("g\u00fc:1", "the label"),
        ("::1:8401", "the label"),
        ("[::x]:1", "no IPv6"),
        ("[10.0.0.1]:1", "no IPv6"),
    ],
)
def test_addresses_that_cannot_and_why(address: str, why: str) -> None:
    assert why in why_not_dialable(address)
