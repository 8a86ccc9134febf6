"""host:port as text, and the errors that name the field and the remedy."""

import errno

import pytest

from homing.client import addresses
from runtime.process.addresses import join_address, listen_error, split_address
from runtime.process.lifecycle import StartupError
from runtime.process.setting_types import parse_address


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("host.test:65535", ("host.test", 65535)), ("[::1]:80", ("::1", 80))],
)
def test_an_address_is_split_and_joined(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address, "gateway.listen") == parts
    assert join_address(*parts) == address


NO_ADDRESSES = [
    "",
    "8400",
    ":8400",
    "host:",
    "host:x",
    "host:-1",
    "host:65536",
    "host:\u0664",
    "::1:80",
    "a b:1",
    "h:1\n",
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_named_with_its_field(address: str) -> None:
    with pytest.raises(
        StartupError, match=r"^configuration: gateway\.listen: '.*' is not host:port, such as"
    ) as caught:
        split_address(address, "gateway.listen")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "address", [*NO_ADDRESSES, "h:0", "h:1", "[::1]:65535", "[fe80::1%eth0]:1", "[x]:1", "a_b.c-d:00080", "é:1", "h:²"]
)
def test_what_is_installed_alone_has_the_same_rule(address: str) -> None:
    assert addresses.parse_address(address) == parse_address(address)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(errno.EADDRINUSE, "text of the loop"), "Address already in use"), (OSError("no errno"), "no errno")],
)
def test_a_listener_that_fails_is_named_with_the_remedy(error: OSError, reason: str) -> None:
    expected = f"router.grpc: cannot listen on 127.0.0.1:1: {reason}; free it or name another"
    assert str(listen_error("router.grpc", "127.0.0.1:1", error)) == expected
