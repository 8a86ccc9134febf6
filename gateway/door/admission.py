"""Core: who may come in. Origin, credential and files of a good handshake become an arrival or a refusal.

A credential stands in `Authorization: Bearer` or in `?token=`. Cookies are never read: a browser sends them along to
whoever asks, which is how a page elsewhere would open a connection in its visitor's name (docs/promises.md, row 20).
"""

import re

import msgspec

from gateway.door.head import Head, bad_request
from gateway.door.values import Arrival, Refusal
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized, Verify
from gateway.wire.envelope import MAX_FILE
from gateway.wire.ports import Codec
from observability.traceparent import from_headers

_match_local = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?").fullmatch

_FOREIGN_ORIGIN = Refusal(403, "forbidden", "this origin is not allowed")
_FORBIDDEN_FILE = Refusal(403, "forbidden", "no grant for this file")


class Origins(msgspec.Struct, frozen=True):
    """Which pages may connect. A client that sends no Origin is no browser and is checked by its token alone."""

    allowed: frozenset[str] = frozenset()  # scheme://host[:port], lower case, exactly as browsers say it
    local: bool = False  # any port of this very machine: for development

    def allow(self, origin: str | None) -> bool:
        """Whether a request with this Origin header (None: without one) may connect."""
        if origin is None or origin in self.allowed:
            return True
        return self.local and _match_local(origin) is not None


def check_arrival(
    head: Head,
    codec: Codec,
    origins: Origins,
    verify: Verify,
    address: str,
    now: float,
    certified: Identity | None = None,
) -> Arrival | Refusal:
    """Check the client that comes with this head; `now` in seconds since the Unix epoch, `address` the client's
    host:port, `certified` who it is by its TLS certificate: that counts when it brings no token.
    """
    if not origins.allow(head.headers.get("origin")):
        return _FOREIGN_ORIGIN
    token = find_token(head)
    if isinstance(token, Refusal):
        return token
    identity = certified if certified is not None and now < certified.expires else None
    if token is not None:
        try:
            identity = verify(token, now)
        except Unauthorized as error:
            return _unauthorized(error.code, str(error))
    elif identity is None and not codec.name:
        return _unauthorized("unauthorized", "a token is needed: Authorization: Bearer, or ?token=")
    files = _check_files(head, identity)
    if isinstance(files, Refusal):
        return files
    traceparent = from_headers(head.headers.get("traceparent", ""), head.headers.get("x-trace-id", ""))
    return Arrival(codec, identity, files, address, traceparent)


def find_token(head: Head) -> str | Refusal | None:
    """The one credential of a request; two are refused, since which of them counts would be a guess."""
    found = [value for name, value in head.query if name == "token"]
    authorization = head.headers.get("authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return _unauthorized("unauthorized", "the Authorization header must be a Bearer token")
        found.append(value.strip(" "))
    if len(found) > 1:
        return bad_request("more than one token")
    return found[0] if found else None


def _check_files(head: Head, identity: Identity | None) -> tuple[str, ...] | Refusal:
    """The files to join at once, each named once. One answer for all that is wrong: it reveals nothing.

    Without an identity the grants cannot be checked yet; the reader of the client's `auth` does.
    """
    requested = tuple(dict.fromkeys(value for name, value in head.query if name == "file"))
    for file in requested:
        if not 0 < len(file.encode()) <= MAX_FILE or not (identity is None or identity.may_join(file)):
            return _FORBIDDEN_FILE
    return requested


def _unauthorized(code: str, message: str) -> Refusal:
    """401 as RFC 6750 §3 has it: without a token only the realm, with a bad one also why."""
    challenge = 'Bearer realm="homing"' + (f', error="{code}"' if code == "invalid_token" else "")
    return Refusal(401, code, message, (("WWW-Authenticate", challenge),))
