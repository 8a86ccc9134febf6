"""A service that cannot start says where and what to do, in one line, and no stack trace."""

import asyncio
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.servers import free_port

EMPTY = Path(__file__).with_name("__init__.py")
pytestmark = pytest.mark.timeout(60)
ANYWHERE = {
    "gateway": ("--listen", "127.0.0.1:0", "--node-listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
    "router": ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
}


async def start(cluster: Cluster, kind: str, *flags: str) -> tuple[int, str, float]:
    """Exit code, what a person reads last, and how long it took."""
    began = time.monotonic()
    process = await cluster.spawn(kind, *ANYWHERE[kind], *flags)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    text = err.decode()
    assert out == b""
    assert "Traceback" not in text, text
    assert process.returncode is not None
    return process.returncode, text.strip().splitlines()[-1], time.monotonic() - began


@pytest.mark.parametrize("kind", ["gateway", "router"])
async def test_etcd_not_reachable_is_retried_and_named(cluster: Cluster, kind: str) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    flags = ("--set", f'registry.etcd=["{nobody}"]', "--set", "registry.start_limit=2")
    code, words, took = await start(cluster, kind, *flags)
    assert (code, nobody in words) == (1, True)
    assert took > 2


@pytest.mark.parametrize("kind", ["gateway", "router"])
@pytest.mark.parametrize("answers", ["refuses", "is silent"])
async def test_a_stop_signal_ends_the_wait_for_etcd_at_once(cluster: Cluster, kind: str, answers: str) -> None:
    with socket.socket() as etcd:
        etcd.bind(("127.0.0.1", 0))
        if answers == "is silent":
            etcd.listen()
        address = f"127.0.0.1:{etcd.getsockname()[1]}"
        process = await cluster.spawn(kind, *ANYWHERE[kind], "--set", f'registry.etcd=["{address}"]')
        assert process.stderr is not None
        line = ""
        while "does not answer" not in line:
            line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert time.monotonic() - began < 2
    assert (process.returncode, out, err) == (0, b"", b"")
    assert f"etcd at {address} does not answer" in line


async def test_kafka_not_reachable_is_named_and_how_to_start_one(cluster: Cluster) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    flags = ("--set", "bus.kind=kafka", "--set", f"bus.kafka={nobody}")
    for code, words, took in await asyncio.gather(*(start(cluster, kind, *flags) for kind in ANYWHERE)):
        assert code == 1
        assert words.startswith(f"bus.kafka: {nobody} does not answer")
        assert "`homing up --bus kafka` starts one" in words
        assert took > 3  # it may be starting itself


@pytest.mark.parametrize(
    ("kind", "flag", "field"),
    [
        ("gateway", "--listen", "gateway.listen"),
        ("gateway", "--node-listen", "gateway.node_listen"),
        ("gateway", "--admin", "gateway.admin"),
        ("router", "--grpc", "router.grpc"),
        ("router", "--http", "router.http"),
        ("router", "--admin", "router.admin"),
    ],
)
async def test_a_port_in_use_is_named(cluster: Cluster, kind: str, flag: str, field: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, words, _ = await start(cluster, kind, flag, address)
    assert code == 1
    assert address in words
    assert field in words


@pytest.mark.parametrize(
    ("kind", "setting", "words"),
    [
        ("gateway", "gateway.prot=1", "[gateway] prot: unknown; there are: admin, "),
        ("gateway", "gatway.listen=1", "[gatway]: unknown section; did you mean [gateway]?"),
        ("gateway", "auth.issuers.test.key_file=/nowhere", "[auth.issuers.test] key_file: /nowhere: No such file"),
        (
            "gateway",
            "auth.issuers.test.key_file=/dev/zero",
            "[auth.issuers.test] key_file: /dev/zero is no regular file",
        ),
        ("router", "registry.etcd_ca=/dev/zero", "[registry] etcd_ca: /dev/zero is no regular file"),
        ("gateway", f"auth.issuers.test.key_file={EMPTY}", f"auth.issuers.test.key_file: {EMPTY} is empty; make one"),
        ("gateway", "gateway.node_id=a\nb", "[gateway] node_id: has a control character, U+000A"),
        ("router", "registry.ttl=soon", "[registry] ttl: Expected `int`"),
    ],
)
async def test_a_mistake_in_the_configuration_is_code_2(cluster: Cluster, kind: str, setting: str, words: str) -> None:
    code, said, _ = await start(cluster, kind, "--set", setting)
    assert code == 2
    assert words in said


@pytest.mark.parametrize(
    ("kind", "flag", "field"),
    [("gateway", "--listen", "gateway.listen"), ("router", "--http", "router.http")],
)
@pytest.mark.parametrize("address", ["x", "127.0.0.1:65536", "::1:8400"])
async def test_a_listener_that_is_no_address_is_code_2(
    cluster: Cluster, kind: str, flag: str, field: str, address: str
) -> None:
    code, words, _ = await start(cluster, kind, flag, address)
    assert code == 2
    assert words.startswith(f"configuration: {field}: '{address}' is not host:port")


@pytest.mark.parametrize("flag", ["listen", "node-listen", "admin"])
async def test_the_page_for_development_is_served_on_loopback_only(cluster: Cluster, flag: str) -> None:
    code, words, _ = await start(cluster, "gateway", "--dev", f"--{flag}", "0.0.0.0:0")
    assert code == 2
    assert f"gateway.{flag.replace('-', '_')}: 0.0.0.0:0 is not loopback" in words


async def test_a_router_is_open_on_loopback_only(cluster: Cluster) -> None:
    code, words, _ = await start(cluster, "router", "--grpc", "0.0.0.0:0")
    assert code == 1
    assert "not loopback" in words


async def test_a_store_of_another_layout_is_refused(cluster: Cluster) -> None:
    from registry.etcd.client import EtcdSettings
    from registry.etcd.store import EtcdStore
    from registry.keys import Keys
    from registry.store import Put

    store = EtcdStore(EtcdSettings(endpoints=(cluster.etcd,)))
    await store.transaction([], [Put(Keys(cluster.name).layout, b"something else")])
    await store.close()
    code, words, _ = await start(cluster, "gateway")
    assert code == 1
    assert "layout" in words


async def test_a_router_and_a_gateway_in_different_delivery_modes_both_say_so(cluster: Cluster) -> None:
    gateway = await cluster.start_gateway()
    router = await cluster.start_router("--set", "delivery.mode=broadcast")
    mistake = "set the same [delivery] mode for both"
    async with asyncio.timeout(10):
        while not all(mistake in service.log.read_text() for service in (gateway, router)):
            await asyncio.sleep(0.05)
