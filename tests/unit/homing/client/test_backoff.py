"""The first round tries every router without delay; each further round waits longer."""

import pytest

from homing.client.backoff import BASE_DELAY, MAX_DELAY, AddressRotation


def test_the_first_round_has_no_delay_and_each_further_round_waits_longer():
    rotation = AddressRotation(["a:1", "b:2", "c:3"], jitter=lambda: 1.0)
    seen, delays = [], []
    for _ in range(9):
        seen.append(rotation.address)
        delays.append(rotation.failed())
    assert seen == ["a:1", "b:2", "c:3"] * 3
    assert delays[:2] == [0.0, 0.0]
    assert delays[2] == pytest.approx(BASE_DELAY + 2 * BASE_DELAY)
    assert delays[5] == pytest.approx(BASE_DELAY + 4 * BASE_DELAY)
    assert delays[8] == pytest.approx(BASE_DELAY + 8 * BASE_DELAY)


def test_the_delay_is_capped_and_success_resets_it():
    rotation = AddressRotation(["a:1"], jitter=lambda: 1.0)
    for _ in range(2000):
        delay = rotation.failed()
    assert delay == BASE_DELAY + MAX_DELAY
    rotation.succeeded()
    assert rotation.failed() == pytest.approx(3 * BASE_DELAY)


@pytest.mark.parametrize(
    ("addresses", "cure"),
    [
        ((), "at least one router"),
        (("nowhere",), "for example gw.example:8500"),
        (("host:",), "for example"),
        ((":1",), "for example"),
        (("a:1", "b:x"), "'b:x' is no router's address"),
        (("a:0",), "for example"),
        (("a:65536",), "for example"),
        (("a:1 ",), "for example"),
        (("http://host:8500",), "without the scheme: host:8500"),
        (("http://host:8500/v1",), "without the scheme: host:8500"),
        (("grpc://",), "without the scheme: gw.example:8500"),
        (("::1:8500",), r"in brackets: \[::1\]:8500"),
    ],
)
def test_malformed_addresses_raise_at_construction_with_the_right_form(addresses, cure):
    with pytest.raises(ValueError, match=f"host:port.*{cure}|{cure}.*host:port"):
        AddressRotation(addresses)


@pytest.mark.parametrize("address", ["gw.example:8500", "10.0.0.1:1", "[::1]:65535", "[fe80::1%eth0]:8500"])
def test_addresses_that_are_taken(address):
    assert AddressRotation([address]).address == address


def test_an_address_that_is_no_text_is_named():
    with pytest.raises(TypeError, match="must be str, host:port, not int: 8500"):
        AddressRotation([8500])
