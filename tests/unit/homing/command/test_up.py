"""The text that `homing up` prints when the cluster is ready."""

from pathlib import Path

from homing.cluster.cluster_file import ClusterFile, GatewayEntry
from homing.command.up_output import page_address, processors, processors_text, ready_text


def cluster(*urls):
    gateways = [GatewayEntry(f"g{number}", url, 1) for number, url in enumerate(urls)]
    return ClusterFile(etcd=[], redis="", gateways=gateways, routers=[], servers={})


def test_the_pages_second_user_connects_to_the_second_gateway():
    assert page_address(cluster("ws://127.0.0.1:5/ws")) == "http://127.0.0.1:5/"
    three = cluster("ws://127.0.0.1:5/ws", "ws://127.0.0.1:6/ws", "ws://127.0.0.1:7/ws")
    assert page_address(three) == "http://127.0.0.1:5/?second=127.0.0.1:6"


def test_the_page_of_a_gateway_with_tls():
    assert page_address(cluster("wss://localhost:5/ws")) == "https://localhost:5/"


def test_the_page_is_named_only_when_it_is_served():
    assert "\n  http://127.0.0.1:5/   a page to try it\n" in ready_text(Path(".homing"), cluster("ws://127.0.0.1:5/ws"))
    without = ready_text(Path("a b"))
    assert "http://" not in without
    assert "homing listen --run-dir 'a b' --user ada" in without


def test_how_much_of_the_machine_is_used() -> None:
    assert processors() >= 1
    assert processors_text(2, 16).startswith("Gateways and routers use 2 of 16 processors")
    assert processors_text(9, 2).startswith("Gateways and routers use 2 of 2 processors")
