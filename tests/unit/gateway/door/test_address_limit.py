"""Connections for each address: what counts as one, and that nothing is left when all have gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.door.address_limit import AddressLimit

ADDRESSES = ["10.0.0.1:80", "10.0.0.1", "10.0.0.2:80", "[2001:db8::1]:80", "[2001:db8::2]:90", "[2001:db8:1::]:1", ""]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1:80", "10.0.0.1:81", True),
        ("10.0.0.1:80", "10.0.0.1", True),  # X-Forwarded-For names no port
        ("10.0.0.1:80", "10.0.0.2:80", False),
        ("10.0.0.1:80", "[::ffff:10.0.0.1]:80", True),
        ("[2001:db8::1]:80", "[2001:db8::ffff:2]:90", True),
        ("[2001:db8::1]:80", "2001:db8::2", True),
        ("[2001:db8::1]:80", "[2001:db8:0:1::1]:80", False),
        ("[fe80::1%eth0]:80", "[fe80::2%eth0]:80", True),
        ("", "10.0.0.1:80", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    limit = AddressLimit(1)
    assert limit.enter(one)
    assert limit.has_room(other) is not same
    assert limit.enter(other) is not same


@given(st.lists(st.tuples(st.sampled_from(ADDRESSES), st.booleans())))
def test_nobody_exceeds_the_limit_and_nothing_is_left_behind(steps: list[tuple[str, bool]]) -> None:
    limit, here = AddressLimit(2), []
    for address, leaves in steps:
        if leaves and here:
            limit.leave(here.pop())
        elif limit.enter(address):
            here.append(address)
    assert sum(address.startswith("10.0.0.1") for address in here) <= 2
    for address in here:
        limit.leave(address)
    assert len(limit) == 0


def test_without_a_limit_nothing_is_counted() -> None:
    limit = AddressLimit()
    assert all(limit.enter("10.0.0.1:1") for _ in range(1000))
    limit.leave("10.0.0.1:1")
    assert len(limit) == 0
