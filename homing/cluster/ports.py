"""The addresses at which the processes of `up` listen.

What the user has configured counts, one port up for each further process. Else a gateway's clients get the first free
port from 8400 on, and a router's API 8500 and 8501, or the same with 10, 20 ... added, whichever are free. Everything
else gets any free port.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from homing.cluster.errors import ConfigurationMistake
from homing.cluster.settings import ANY_LOOPBACK_PORT, configured, offset_address, place

GATEWAY_LISTENERS = ("listen", "node_listen", "admin")
ROUTER_LISTENERS = ("grpc", "http", "admin")
CLIENT_PORTS = range(8400, 8500)
API_PORTS = range(8500, 8600, 10)  # of gRPC; HTTP is one above

Addresses = dict[str, str]
"""host:port by the setting that names the listener; port 0 is any free one."""


def is_free(port: int) -> bool:
    """Whether a service on loopback can listen at this port now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def none_is_free(_port: int) -> bool:
    """For `--ports random`."""
    return False


def gateway_addresses(user: Mapping[str, Any], count: int, free: Callable[[int], bool]) -> list[Addresses]:
    """The listeners of each gateway. `user`: the user's configuration. ConfigurationMistake: it names no host:port."""
    ports = (f"127.0.0.1:{port}" for port in CLIENT_PORTS if free(port))
    return [_addresses(user, "gateway", GATEWAY_LISTENERS, i, {"listen": next(ports, "")}) for i in range(count)]


def router_addresses(user: Mapping[str, Any], count: int, free: Callable[[int], bool]) -> list[Addresses]:
    """The listeners of each router, as `gateway_addresses`."""
    apis = _api_addresses(free)
    return [_addresses(user, "router", ROUTER_LISTENERS, i, next(apis, {})) for i in range(count)]


def check_listeners(user: Mapping[str, Any], file: Path | None, gateways: int, routers: int) -> None:
    """ConfigurationMistake: a listener that the user has configured is not host:port, or there are too few ports."""
    for section, names, count in (("gateway", GATEWAY_LISTENERS, gateways), ("router", ROUTER_LISTENERS, routers)):
        for name in names:
            if address := configured(user, section, name):
                try:
                    offset_address(address, count - 1)
                except ConfigurationMistake as mistake:
                    raise ConfigurationMistake(f"{place(file, section, name)}: {mistake}") from None


def _api_addresses(free: Callable[[int], bool]) -> Iterator[Addresses]:
    for port in API_PORTS:
        if free(port) and free(port + 1):
            yield {"grpc": f"127.0.0.1:{port}", "http": f"127.0.0.1:{port + 1}"}


def _addresses(
    user: Mapping[str, Any], section: str, listeners: tuple[str, ...], index: int, default: Addresses
) -> Addresses:
    named = {name: configured(user, section, name) for name in listeners}
    return {
        name: offset_address(address, index) if address else default.get(name) or ANY_LOOPBACK_PORT
        for name, address in named.items()
    }
