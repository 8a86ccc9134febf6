"""Where the processes of `up` listen."""

import socket

import pytest

from homing.cluster.errors import ConfigurationMistake
from homing.cluster.ports import gateway_addresses, is_free, none_is_free, router_addresses

ANY = "127.0.0.1:0"


def all_but(*taken: int):
    return lambda port: port not in taken


def test_the_documented_ports_when_they_are_free():
    assert router_addresses({}, 2, all_but()) == [
        {"grpc": "127.0.0.1:8500", "http": "127.0.0.1:8501", "admin": ANY},
        {"grpc": "127.0.0.1:8510", "http": "127.0.0.1:8511", "admin": ANY},
    ]
    assert gateway_addresses({}, 2, all_but()) == [
        {"listen": "127.0.0.1:8400", "node_listen": ANY, "admin": ANY},
        {"listen": "127.0.0.1:8401", "node_listen": ANY, "admin": ANY},
    ]


def test_the_next_ones_when_they_are_taken():
    assert [one["listen"] for one in gateway_addresses({}, 2, all_but(8400, 8402))] == [
        "127.0.0.1:8401",
        "127.0.0.1:8403",
    ]
    assert [one["grpc"] for one in router_addresses({}, 2, all_but(8501, 8510))] == ["127.0.0.1:8520", "127.0.0.1:8530"]


def test_any_free_port_when_all_are_taken_or_random_ones_are_asked_for():
    assert gateway_addresses({}, 1, none_is_free) == [{"listen": ANY, "node_listen": ANY, "admin": ANY}]
    assert router_addresses({}, 1, none_is_free) == [{"grpc": ANY, "http": ANY, "admin": ANY}]


def test_what_the_user_configures_counts_up(monkeypatch):
    user = {"gateway": {"listen": "0.0.0.0:9000", "admin": "[::1]:9100"}}
    assert gateway_addresses(user, 2, all_but())[1] == {
        "listen": "0.0.0.0:9001",
        "node_listen": ANY,
        "admin": "[::1]:9101",
    }
    monkeypatch.setenv("HOMING_ROUTER__GRPC", "127.0.0.1:7000")
    assert router_addresses({}, 2, all_but())[1]["grpc"] == "127.0.0.1:7001"


@pytest.mark.parametrize("address", ["localhost", ":80", "127.0.0.1:x", "127.0.0.1:²"])
def test_what_is_no_address_is_a_mistake(address):
    with pytest.raises(ConfigurationMistake, match="host:port"):
        gateway_addresses({"gateway": {"listen": address}}, 1, all_but())


def test_a_port_that_somebody_listens_at_is_not_free():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
