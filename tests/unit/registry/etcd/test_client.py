"""How the status of a call becomes an error of the store port: what, where, the remedy."""

import pytest

from registry.etcd.client import EtcdClient, EtcdSettings
from registry.store import Compacted, LeaseNotFound, StoreError, StoreRefused, StoreUnavailable
from runtime.grpc_wire import status
from runtime.grpc_wire.status import StreamEnded


@pytest.fixture
def client() -> EtcdClient:
    return EtcdClient(EtcdSettings(endpoints=("h1:1", "h2:2"), user="u", password="hush"))


@pytest.mark.parametrize(
    ("code", "details", "kind", "text"),
    [
        (status.UNAVAILABLE, "", StoreUnavailable, "is it running there"),
        (status.DEADLINE_EXCEEDED, "", StoreUnavailable, "DEADLINE_EXCEEDED"),
        (status.CANCELLED, "", StoreUnavailable, "does not answer"),
        (status.UNAVAILABLE, "etcdserver: no leader", StoreUnavailable, "no leader"),
        (
            status.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            StoreUnavailable,
            "compact and defragment",
        ),
        (status.NOT_FOUND, "etcdserver: requested lease not found", LeaseNotFound, "lease not found"),
        (status.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", Compacted, "compacted"),
        (status.PERMISSION_DENIED, "etcdserver: permission denied", StoreRefused, "grant the user readwrite"),
        (status.INVALID_ARGUMENT, "etcdserver: user name is empty", StoreRefused, "needs a user and password"),
        (status.INVALID_ARGUMENT, "etcdserver: authentication failed, ...", StoreRefused, "check user and password"),
        (
            status.FAILED_PRECONDITION,
            "etcdserver: authentication is not enabled",
            StoreRefused,
            "leave user and password",
        ),
        (status.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request", StoreRefused, "duplicate key"),
        (status.UNIMPLEMENTED, "", StoreRefused, "UNIMPLEMENTED"),
    ],
)
def test_a_status_becomes_an_error_of_the_port(
    client: EtcdClient, code: int, details: str, kind: type[StoreError], text: str
) -> None:
    error = client.error(StreamEnded(code, details))
    assert type(error) is kind
    assert text in str(error)
    if kind is not Compacted:
        assert "h1:1, h2:2" in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("code", "details", "stale"),
    [
        (status.UNAUTHENTICATED, "etcdserver: invalid auth token", True),
        (status.INVALID_ARGUMENT, "etcdserver: auth: revision in header is old", True),
        (status.UNAVAILABLE, "", False),
    ],
)
def test_only_a_stale_token_is_renewed(client: EtcdClient, code: int, details: str, stale: bool) -> None:
    assert client._drop_stale_token(StreamEnded(code, details)) is stale
    assert isinstance(client.stream_error(StreamEnded(code, details)), StoreUnavailable)


def test_without_a_user_no_token_helps() -> None:
    assert not EtcdClient(EtcdSettings())._drop_stale_token(StreamEnded(status.UNAUTHENTICATED, ""))


@pytest.mark.parametrize(
    ("endpoints", "addresses"),
    [
        (["127.0.0.1:1"], [("127.0.0.1", 1)]),
        (["127.0.0.1:1", "127.0.0.2:2"], [("127.0.0.1", 1), ("127.0.0.2", 2)]),
        (["127.0.0.1:1", "127.0.0.1:1"], [("127.0.0.1", 1)]),
        (["[::1]:1", "[::1]:2"], [("::1", 1), ("::1", 2)]),
        (["no-such-host.invalid:1", "127.0.0.1:2"], [("127.0.0.1", 2)]),
    ],
)
async def test_endpoints_become_addresses_that_can_be_dialled(
    endpoints: list[str], addresses: list[tuple[str, int]]
) -> None:
    assert await EtcdClient(EtcdSettings(endpoints=tuple(endpoints)))._resolve() == addresses


async def test_endpoints_of_which_none_resolves_are_an_error() -> None:
    with pytest.raises(OSError, match="no name resolves"):
        await EtcdClient(EtcdSettings(endpoints=("no-such-host.invalid:1",)))._resolve()
