import asyncio

import grpc
import grpc.aio
import pytest

from registry.etcd.client import EtcdClient, EtcdSettings
from registry.store import Compacted, LeaseGone, StoreAway, StoreError, StoreRefused

Code = grpc.StatusCode


def rpc_error(code: grpc.StatusCode, details: str = "") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


@pytest.fixture
def client() -> EtcdClient:
    return EtcdClient(EtcdSettings(endpoints=("h1:1", "h2:2"), user="u", password="hush"))


@pytest.mark.parametrize(
    ("code", "details", "kind", "says"),
    [
        (Code.UNAVAILABLE, "", StoreAway, "is it running there"),
        (Code.DEADLINE_EXCEEDED, "", StoreAway, "DEADLINE_EXCEEDED"),
        (Code.CANCELLED, "", StoreAway, "does not answer"),
        (Code.UNAVAILABLE, "etcdserver: no leader", StoreAway, "no leader"),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", StoreAway, "compact and defragment"),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", LeaseGone, "lease not found"),
        (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted", Compacted, "compacted"),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", StoreRefused, "grant the user readwrite"),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", StoreRefused, "wants a user and password"),
        (Code.INVALID_ARGUMENT, "etcdserver: authentication failed, ...", StoreRefused, "check user and password"),
        (
            Code.FAILED_PRECONDITION,
            "etcdserver: authentication is not enabled",
            StoreRefused,
            "leave user and password",
        ),
        (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request", StoreRefused, "duplicate key"),
        (Code.UNIMPLEMENTED, "", StoreRefused, "UNIMPLEMENTED"),
    ],
)
def test_a_status_becomes_an_error_of_the_port(
    client: EtcdClient, code: grpc.StatusCode, details: str, kind: type[StoreError], says: str
) -> None:
    error = client.error(rpc_error(code, details))
    assert type(error) is kind
    assert says in str(error)
    if kind is not Compacted:
        assert "h1:1, h2:2" in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("code", "details", "stale"),
    [
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", True),
        (Code.INVALID_ARGUMENT, "etcdserver: auth: revision in header is old", True),
        (Code.UNAVAILABLE, "", False),
    ],
)
def test_only_a_stale_token_is_renewed(client: EtcdClient, code: grpc.StatusCode, details: str, stale: bool) -> None:
    assert client.stale_token(rpc_error(code, details)) is stale
    assert isinstance(client.stream_error(rpc_error(code, details)), StoreAway)


def test_without_a_user_no_token_helps() -> None:
    assert not EtcdClient(EtcdSettings()).stale_token(rpc_error(Code.UNAUTHENTICATED))


async def test_a_cancelled_call_is_our_own_or_the_channels(client: EtcdClient) -> None:
    assert isinstance(client.closed_under(), StoreAway)

    async def cancelled() -> BaseException:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return client.closed_under()
        raise AssertionError

    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0)
    task.cancel()
    assert isinstance(await task, asyncio.CancelledError)


@pytest.mark.parametrize(
    ("endpoints", "target"),
    [
        (["127.0.0.1:1"], "127.0.0.1:1"),
        (["127.0.0.1:1", "127.0.0.2:2"], "ipv4:127.0.0.1:1,127.0.0.2:2"),
        (["127.0.0.1:1", "127.0.0.1:1"], "ipv4:127.0.0.1:1"),
        (["[::1]:1", "[::1]:2"], "ipv6:[::1]:1,[::1]:2"),
        (["etcd.test:1"], "dns:///etcd.test:1"),
    ],
)
async def test_endpoints_become_one_target(endpoints: list[str], target: str) -> None:
    assert await EtcdClient(EtcdSettings(endpoints=tuple(endpoints)))._target() == target
