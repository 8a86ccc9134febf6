"""Core: which requests the page for development may make (`--dev`), and its head as the one that aiohttp will read.

These paths hand out tokens and push without rights, so a page from elsewhere must not reach them: not by asking across
origins (Origin), and not by a name of its own that resolves to this machine (Host; DNS rebinding).
"""

import re
from urllib.parse import urlencode

from gateway.door.head import Head
from gateway.door.values import Refusal

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/homing.js": ("homing.js", "text/javascript; charset=utf-8"),
    "/json_fault.js": ("json_fault.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
TOKEN = "/dev/token"
_match_call = re.compile(r"/v1/[a-z]+(:batch)?").fullmatch
_match_local_host = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?").fullmatch
_HOP_BY_HOP = ("connection", "keep-alive", "upgrade", "proxy-connection", "te", "trailer", "expect")

_FOREIGN = Refusal(403, "forbidden", "the page for development is for pages of its own origin on this machine")
_GET_ONLY = Refusal(405, "method_not_allowed", "this path is read with GET", (("Allow", "GET"),))
_POST_ONLY = Refusal(405, "method_not_allowed", "the API is called with POST here", (("Allow", "POST"),))
_NO_BODY = Refusal(400, "bad_request", "a GET has no body here")


def is_page(path: str) -> bool:
    """Whether this path belongs to the page."""
    return path in FILES or path == TOKEN or _match_call(path) is not None


def check_page(head: Head, scheme: str = "http") -> Refusal | None:
    """Why this request is refused; None: it may be served. `scheme`: of the listener, http or https."""
    host = head.headers.get("host", "")
    own = f"{scheme}://{host}"
    if not _match_local_host(host) or head.headers.get("origin", own) != own:
        return _FOREIGN
    if _match_call(head.path):
        return None if head.method == "POST" else _POST_ONLY
    if head.method != "GET":
        return _GET_ONLY
    return _NO_BODY if head.has_body() else None


def canonical(head: Head) -> bytes:
    """The head in its one form, for another parser. It ends the connection: each head was checked by our own parser."""
    query = f"?{urlencode(head.query)}" if head.query else ""
    lines = [f"{head.method} {head.path}{query} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in head.headers.items() if name not in _HOP_BY_HOP]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1")
