"""Shell: a router's three listeners: the API over gRPC, the API over HTTP, administration."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from router.api.grpc_api import GrpcApi
from router.api.http_api import HttpApi
from router.config import RouterSection
from runtime.process.addresses import listen_error, split_address
from runtime.process.admin import AdminListener
from runtime.process.lifecycle import StartupError

log = logging.getLogger(__name__)

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class Addresses(NamedTuple):
    """The addresses that the listeners have, host:port each."""

    grpc: str
    http: str
    admin: str


class Listeners:
    """Opens and closes the listeners."""

    def __init__(self, settings: RouterSection, grpc_api: GrpcApi, http_api: HttpApi, admin: AdminListener) -> None:
        self._settings = settings
        self._grpc_api = grpc_api
        self._http_api = http_api
        self._admin = admin

    async def open(self) -> Addresses:
        """Open all. Raises StartupError: a port is in use, or the API would be reachable from another machine."""
        settings = self._settings
        for field, address in (("grpc", settings.grpc), ("http", settings.http)):
            _check_loopback(f"router.{field}", address)
        addresses = Addresses(
            await _listen("router.grpc", settings.grpc, self._grpc_api.listen),
            await _listen("router.http", settings.http, self._http_api.listen),
            await _listen("router.admin", settings.admin, self._admin.listen),
        )
        log.info("the API is open to everyone on this machine: callers have no rights yet")
        return addresses

    async def close_api(self, grace: float) -> None:
        """Accept no calls, and wait for open ones: at most `grace` seconds. The admin listener stays open."""
        await asyncio.gather(self._grpc_api.close(grace), self._http_api.close())

    async def close(self) -> None:
        """Close all, at once."""
        await self.close_api(0)
        await self._admin.close()


async def _listen(field: str, address: str, listen: Callable[[str, int], Awaitable[str]]) -> str:
    host, port = split_address(address, field)
    try:
        return await listen(host, port)
    except OSError as error:
        raise listen_error(field, address, error) from None


def _check_loopback(field: str, address: str) -> None:
    if split_address(address, field)[0] not in LOOPBACK_HOSTS:
        why = "is not loopback, and the API has no rights yet: anyone could push"
        raise StartupError(f"{field}: {address} {why}")
