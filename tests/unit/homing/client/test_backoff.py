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


@pytest.mark.parametrize("addresses", [(), ("nowhere",), ("host:",), (":1",), ("a:1", "b:x")])
def test_malformed_addresses_raise_at_construction(addresses):
    with pytest.raises(ValueError, match="host:port"):
        AddressRotation(addresses)
