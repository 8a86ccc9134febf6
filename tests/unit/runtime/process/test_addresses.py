"""host:port as text, and the errors that name the field and the remedy."""

import errno

import pytest

from runtime.process.addresses import join_address, listen_error, split_address
from runtime.process.lifecycle import StartupError


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("host.test:65535", ("host.test", 65535)), ("[::1]:80", ("::1", 80))],
)
def test_an_address_is_split_and_joined(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address, "gateway.listen") == parts
    assert join_address(*parts) == address


@pytest.mark.parametrize("address", ["", "8400", ":8400", "host:", "host:x", "host:-1", "host:65536", "host:\u0664"])
def test_what_is_no_address_is_named_with_its_field(address: str) -> None:
    with pytest.raises(StartupError, match=r"^gateway\.listen: '.*' is not host:port$"):
        split_address(address, "gateway.listen")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(errno.EADDRINUSE, "text of the loop"), "Address already in use"), (OSError("no errno"), "no errno")],
)
def test_a_listener_that_fails_is_named_with_the_remedy(error: OSError, reason: str) -> None:
    expected = f"router.grpc: cannot listen on 127.0.0.1:1: {reason}; free it or name another"
    assert str(listen_error("router.grpc", "127.0.0.1:1", error)) == expected
