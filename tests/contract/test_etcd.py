"""What needs a real etcd: bad networks, lost members, users, TLS, and errors that name the remedy."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from registry.etcd.client import EtcdSettings
from registry.etcd.store import EtcdStore
from registry.store import Put, StoreRefused, StoreUnavailable
from runtime.grpc_wire import channel
from tests.support.certificates import Authority
from tests.support.proxy import Proxy
from tests.support.servers import Server, etcdctl, free_port, start_etcd, start_etcd_cluster


def store_at(*endpoints: str, **more: str | float) -> EtcdStore:
    return EtcdStore(EtcdSettings(endpoints=endpoints, **more))


async def test_a_watch_whose_connection_is_cut_again_and_again_has_no_gap(etcd: Server) -> None:
    async with Proxy(etcd.port) as proxy:
        reader, writer = store_at(proxy.endpoint), store_at(etcd.endpoint)
        start = await writer.revision() + 1
        seen: list[bytes] = []

        async def read() -> None:
            async with aclosing(reader.watch_prefix("/cut/", start)) as watch:
                async for changes in watch:
                    seen.extend(change.entry.value for change in changes.changes)
                    if len(seen) >= 3_000:
                        return

        reading = asyncio.ensure_future(read())
        for i in range(3_000):
            await writer.transaction([], [Put("/cut/a", b"%d" % i)])
            if i % 300 == 150:
                proxy.cut()
        await asyncio.wait_for(reading, 10)
        assert seen == [b"%d" % i for i in range(3_000)]
        assert proxy.connections > 5, "the connection was cut"
        await reader.close()
        await writer.close()


async def test_a_member_that_never_answers_is_unavailable_within_the_deadline(etcd: Server) -> None:
    async with Proxy(etcd.port) as proxy:
        store = store_at(proxy.endpoint, timeout=0.3)
        lease = await store.grant(30)
        await store.keep_alive(lease)
        proxy.freeze()
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable, match=proxy.endpoint):
                await store.transaction([], [Put("/frozen", b"")])
            with pytest.raises(StoreUnavailable, match=proxy.endpoint):
                await store.get("/frozen")
            with pytest.raises(StoreUnavailable, match=proxy.endpoint):
                await store.keep_alive(lease)
        proxy.thaw()
        proxy.cut()
        async with asyncio.timeout(5):
            await store.keep_alive(lease)
        await store.close()


async def test_a_member_that_freezes_under_an_idle_watch_is_replaced_after_a_keepalive(
    etcd: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "KEEPALIVE_TIME", 0.2)
    monkeypatch.setattr(channel, "KEEPALIVE_TIMEOUT", 0.1)
    async with Proxy(etcd.port) as proxy:
        reader, writer = store_at(proxy.endpoint), store_at(etcd.endpoint)
        async with aclosing(reader.watch_prefix("/idle/", await writer.revision() + 1)) as watch:
            await writer.transaction([], [Put("/idle/a", b"1")])
            assert (await asyncio.wait_for(anext(watch), 5)).changes[0].entry.value == b"1"
            before = proxy.connections
            proxy.freeze()
            waiting = asyncio.ensure_future(anext(watch))
            async with asyncio.timeout(5):
                while proxy.connections == before:  # until the keepalive has failed, and another connection is opened
                    await asyncio.sleep(0.02)
            proxy.thaw()
            proxy.cut()
            await writer.transaction([], [Put("/idle/a", b"2")])
            assert (await asyncio.wait_for(waiting, 10)).changes[0].entry.value == b"2"
        await reader.close()
        await writer.close()


async def test_close_ends_open_calls_as_unavailable_and_cancels_none(etcd: Server) -> None:
    async with Proxy(etcd.port) as proxy:
        store = store_at(proxy.endpoint)
        lease = await store.grant(30)
        watch = store.watch_prefix("/closing/", await store.revision() + 1)
        watching = asyncio.ensure_future(anext(watch))
        await store.keep_alive(lease)
        proxy.freeze()
        waiting = [asyncio.ensure_future(one) for one in (store.get("/closing/a"), store.keep_alive(lease))]
        await asyncio.sleep(0.1)
        await store.close()
        for one in waiting:
            with pytest.raises(StoreUnavailable):
                await one
        assert not watching.done(), "a watch goes on until its reader ends it"
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def test_the_error_without_an_etcd_has_the_address_and_the_remedy() -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    store = store_at(endpoint)
    with pytest.raises(StoreUnavailable, match=rf"etcd at {endpoint} does not answer .*is it running there"):
        await store.get("/a")
    await store.close()


async def test_a_name_is_as_good_as_an_address(etcd: Server) -> None:
    for endpoints in ([f"localhost:{etcd.port}"], [f"localhost:{etcd.port}", etcd.endpoint]):
        store = store_at(*endpoints)
        assert await store.revision() > 0
        await store.close()


async def test_names_that_do_not_resolve_are_named() -> None:
    store = store_at("no-such-host.invalid:1", "nor-this.invalid:2")
    with pytest.raises(StoreUnavailable, match=r"no-such-host\.invalid:1, nor-this\.invalid:2"):
        await store.revision()
    await store.close()


async def test_when_a_member_dies_reads_continue_and_the_watch_has_no_gap(tmp_path: Path) -> None:
    servers = await asyncio.to_thread(start_etcd_cluster, tmp_path)
    store = store_at(*(server.endpoint for server in servers))
    try:
        start = await store.revision() + 1
        seen: list[bytes] = []

        async def read() -> None:
            async with aclosing(store.watch_prefix("/m/", start)) as watch:
                async for changes in watch:
                    seen.extend(change.entry.value for change in changes.changes)

        reading = asyncio.ensure_future(read())
        written: list[bytes] = []
        for i in range(60):
            if i == 20:
                await asyncio.to_thread(servers[0].kill)
            value = b"%d" % i
            while True:  # one writer, so a put whose answer was lost may simply be sent again
                try:
                    await store.transaction([], [Put("/m/a", value)])
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
            written.append(value)
            entry = await store.get("/m/a")
            assert entry is not None
            assert entry.value == value
        async with asyncio.timeout(5):
            while seen[-1:] != written[-1:]:
                await asyncio.sleep(0.01)
        assert list(dict.fromkeys(seen)) == written
        reading.cancel()
    finally:
        await store.close()
        for server in servers:
            await asyncio.to_thread(server.stop)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An etcd with users: root, and reader, who may only read below /homing/."""
    with start_etcd(tmp_path_factory.mktemp("guarded")) as server:
        etcdctl(server, "user", "add", "root:secret")
        etcdctl(server, "user", "grant-role", "root", "root")
        etcdctl(server, "role", "add", "reader")
        etcdctl(server, "role", "grant-permission", "reader", "--prefix=true", "read", "/homing/")
        etcdctl(server, "user", "add", "reader:secret")
        etcdctl(server, "user", "grant-role", "reader", "reader")
        etcdctl(server, "auth", "enable")
        yield server


async def test_a_user_and_password_are_used_for_everything(guarded: Server) -> None:
    store = store_at(guarded.endpoint, user="root", password="secret")
    lease = await store.grant(10)
    await store.keep_alive(lease)
    written = (await store.transaction([], [Put("/homing/a", b"1", lease)])).revision
    async with aclosing(store.watch_prefix("/homing/", written)) as watch:
        assert (await asyncio.wait_for(anext(watch), 5)).changes[0].entry.value == b"1"
    await store.close()


async def test_an_expired_token_is_renewed_everywhere(guarded: Server) -> None:
    store = store_at(guarded.endpoint, user="root", password="secret")
    lease = await store.grant(30)
    await store.keep_alive(lease)
    written = (await store.transaction([], [Put("/homing/b", b"1")])).revision
    async with aclosing(store.watch_prefix("/homing/b", written)) as watch:
        assert len((await asyncio.wait_for(anext(watch), 5)).changes) == 1
        await asyncio.to_thread(guarded.restart)  # simple tokens live in the server's memory
        for _ in range(50):
            try:
                await store.transaction([], [Put("/homing/b", b"2")])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.1)
        assert (await asyncio.wait_for(anext(watch), 5)).changes[0].entry.value == b"2"
    await store.keep_alive(lease)
    await store.close()


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ({}, "needs a user and password"),
        ({"user": "root", "password": "wrong"}, "check user and password"),
        ({"user": "reader", "password": "secret"}, "grant the user readwrite"),
    ],
)
async def test_a_user_without_permission_is_refused_with_the_remedy(
    guarded: Server, user: dict[str, str], text: str
) -> None:
    store = store_at(guarded.endpoint, **user)
    with pytest.raises(StoreRefused, match=text) as caught:
        await store.transaction([], [Put("/homing/a", b"")])
    assert guarded.endpoint in str(caught.value)
    assert "secret" not in str(caught.value)
    await store.close()


async def test_a_watch_that_is_not_permitted_is_refused(guarded: Server) -> None:
    store = store_at(guarded.endpoint, user="reader", password="secret")
    async with aclosing(store.watch_prefix("/elsewhere/", 1)) as watch:
        with pytest.raises(StoreRefused, match="refused the watch"):
            await asyncio.wait_for(anext(watch), 5)
    await store.close()


async def test_a_password_for_an_etcd_without_users_is_refused_with_the_remedy(etcd: Server) -> None:
    store = store_at(etcd.endpoint, user="root", password="secret")
    with pytest.raises(StoreRefused, match="leave user and password out"):
        await store.get("/a")
    await store.close()


async def test_tls_with_client_certificates_and_nothing_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("etcd.test"), authority.issue("client.test")
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    flags = ["--listen-client-urls", url, "--advertise-client-urls", url]
    flags += ["--cert-file", server.cert, "--key-file", server.key]
    flags += ["--trusted-ca-file", authority.ca, "--client-cert-auth"]
    # Its own readiness speaks no TLS, so this test waits for the store itself.
    with start_etcd(tmp_path, *flags, wait=False):
        secure = {"ca": authority.ca, "cert": client.cert, "key": client.key, "server_name": "etcd.test"}
        store = store_at(f"127.0.0.1:{port}", f"127.0.0.1:{port}", **secure)
        async with asyncio.timeout(15):
            while True:
                try:
                    written = (await store.transaction([], [Put("/tls", b"1")])).revision
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.1)
        assert await store.revision() >= written
        await store.close()
        for wrong in ({**secure, "server_name": "other.test"}, {"ca": authority.ca, "server_name": "etcd.test"}, {}):
            refused = store_at(f"127.0.0.1:{port}", timeout=1.0, **wrong)
            with pytest.raises(StoreUnavailable, match=str(port)):
                await refused.get("/tls")
            await refused.close()


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = store_at("127.0.0.1:1", ca=str(tmp_path / "absent.pem"))
    with pytest.raises(StoreRefused, match=r"absent\.pem"):
        await store.get("/a")
