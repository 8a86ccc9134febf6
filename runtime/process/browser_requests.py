"""Shell: refuses what a web page elsewhere makes a browser send to a listener that is not for browsers.

A page on any origin can send "simple" requests to http://127.0.0.1 (Fetch standard, no-cors mode), and by DNS rebinding
(a name of its own that resolves to this machine) even read the answers. So `Origin`, which browsers always send with a
POST, must be in a list, and `Host` must be an address, `localhost` or in a list: the rebinding page has a name. What
changes something needs a JSON content type, which no simple request has.
"""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def refuse_pages(
    hosts: Collection[str] = (), origins: Collection[str] = ()
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware: 403 for another Host or Origin, 415 for a POST without a JSON content type.

    `hosts`: further names of this listener, without a port. `origins`: scheme://host[:port] of pages that may call.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not is_own_host(host, hosts):
            return _refused(403, "PERMISSION_DENIED", f"{host[:100]!r} is not a name of this listener", "Host")
        if origin is not None and origin not in origins:
            return _refused(403, "PERMISSION_DENIED", "web pages of this origin may not call", "Origin")
        known = request.match_info.http_exception is None
        if known and request.method == "POST" and request.content_type != "application/json":
            return _refused(415, "INVALID_ARGUMENT", "the body must be application/json", "Content-Type")
        return await handler(request)

    return check


def is_own_host(host: str, hosts: Collection[str]) -> bool:
    """Whether a Host header names this listener: an IP address, localhost or one of `hosts`, a port or none."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in hosts
    return True


def _refused(status: int, code: str, message: str, field: str) -> web.Response:
    error = {"code": code, "message": f"{field}: {message}", "field": field, "request_id": secrets.token_hex(8)}
    return web.json_response({"error": error}, status=status)
