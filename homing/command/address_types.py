"""Parameter types of the options that are addresses: of servers, of routers, of gateways, to listen at."""

import re

import click

from homing.client.addresses import is_peer, parse_address


class CollectorUrlParam(click.ParamType[str]):
    """The URL of an OpenTelemetry collector, in the form of the services' `[trace] otlp`."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = re.fullmatch(r"https?://([^/]+)/?", str(value))
        if found is None or not is_peer(found[1]):
            self.fail(f"{value!r} is not a URL such as http://127.0.0.1:4317", param, ctx)
        return str(value)


COLLECTOR_URL = CollectorUrlParam()


class ListenAddressParam(click.ParamType[str]):
    """An address to listen at, HOST:PORT, an IPv6 address in brackets; port 0 is any free one."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if parse_address(str(value)) is None:
            self.fail(f"{value!r} is not an address such as 127.0.0.1:4317", param, ctx)
        return str(value)


LISTEN_ADDRESS = ListenAddressParam()


class AddressListParam(click.ParamType[list[str]]):
    """Addresses of servers, HOST:PORT, several separated by commas."""

    name = "addresses"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        from homing.cluster.settings import addresses

        try:
            found = addresses(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return found or self.fail(f"{value!r} names no address; HOST:PORT, several separated by commas", param, ctx)


ADDRESSES = AddressListParam()


class RedisUrlParam(click.ParamType[str]):
    """The URL of a Redis, in the form of the services' `[bus] redis`."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from homing.cluster.settings import check_redis_url

        try:
            check_redis_url(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


REDIS_URL = RedisUrlParam()


class RouterAddressParam(click.ParamType[str]):
    """The gRPC address of a router, HOST:PORT, an IPv6 address in brackets."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from homing.client.backoff import check_address

        try:
            check_address(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


ROUTER_ADDRESS = RouterAddressParam()


class ClientUrlParam(click.ParamType[str]):
    """Where clients connect: a WebSocket URL."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        found = re.fullmatch(r"wss?://(?:[^\s/:@\[\]?#]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?]\S*)?", str(value))
        if found is None or not 0 < int(found[1] or 80) < 65536:
            self.fail(f"{value!r} is not a WebSocket URL such as ws://127.0.0.1:8400/ws", param, ctx)
        return str(value)


CLIENT_URL = ClientUrlParam()
