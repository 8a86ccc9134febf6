"""Core: a client whose request was accepted, or an answer in plain HTTP."""

import msgspec

from gateway.identity.identity import Identity
from gateway.wire.ports import Codec


class Arrival(msgspec.Struct, frozen=True):
    """A client whose request head and identity were accepted."""

    codec: Codec
    identity: Identity | None  # None: homing.* without a token; it must say `auth` within 5 s
    files: tuple[str, ...]  # to join at once (`?file=`), each already granted; without an identity not checked yet
    address: str  # the client's host:port
    traceparent: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """An answer in plain HTTP: status, our JSON error, extra headers."""

    status: int
    code: str  # docs/protocol.md's word for it, e.g. unauthorized, forbidden, unavailable, not_found, bad_request
    message: str
    headers: tuple[tuple[str, str], ...] = ()
