"""Core: what a request on an Engine.IO path asks for, or which of the protocol's errors answers it."""

from enum import Enum
from typing import NamedTuple

from gateway.door.head import Head
from gateway.door.values import Refusal
from gateway.engineio import ids
from gateway.engineio.ids import ConnectionId
from gateway.wire.engineio import PROTOCOL


class EngineError(NamedTuple):
    """An error answer: `{"code","message"}` with an HTTP status (engine.io-protocol, server/errors)."""

    code: int
    message: str
    status: int = 400
    headers: tuple[tuple[str, str], ...] = ()


UNKNOWN_TRANSPORT = EngineError(0, "Transport unknown")
UNKNOWN_ID = EngineError(1, "Session ID unknown")
BAD_HANDSHAKE_METHOD = EngineError(2, "Bad handshake method")
BAD_REQUEST = EngineError(3, "Bad request")
FORBIDDEN = EngineError(4, "Forbidden", 403)
UNSUPPORTED_VERSION = EngineError(5, "Unsupported protocol version")
NO_LENGTH = EngineError(3, "Bad request: a body needs a Content-Length", 411)
TOO_LARGE = EngineError(3, "Payload too large", 413)
LATE = EngineError(3, "Bad request: the body took too long", 408)


class Purpose(Enum):
    """What a request is for."""

    PREFLIGHT = "preflight"  # CORS
    HANDSHAKE = "handshake"  # a new connection on long-polling
    OPEN = "open"  # a new connection on a WebSocket
    POLL = "poll"
    POST = "post"
    UPGRADE = "upgrade"  # of a connection to a WebSocket


class EngineRequest(NamedTuple):
    """A request that may be served. `id`: None where there is no connection yet."""

    purpose: Purpose
    id: ConnectionId | None = None


def judge(head: Head) -> EngineRequest | EngineError:
    """What the request asks for. The order of the questions is that of the protocol's reference server."""
    if head.method == "OPTIONS":
        return EngineRequest(Purpose.PREFLIGHT)
    query = dict(head.query)
    transport, version = query.get("transport"), query.get("EIO")
    if transport not in ("polling", "websocket"):
        return UNKNOWN_TRANSPORT
    if version != PROTOCOL:
        return UNSUPPORTED_VERSION
    if len([name for name, _ in head.query if name in ("transport", "EIO", "sid")]) > 2 + ("sid" in query):
        return BAD_REQUEST
    if transport == "websocket":
        return _judge_websocket(head, query.get("sid"))
    return _judge_polling(head, query.get("sid"))


def _judge_websocket(head: Head, sid: str | None) -> EngineRequest | EngineError:
    if "websocket" not in map(str.lower, head.tokens("upgrade")):
        return BAD_REQUEST
    if sid is None:
        return EngineRequest(Purpose.OPEN) if head.method == "GET" else BAD_HANDSHAKE_METHOD
    id = ids.parse(sid)
    return UNKNOWN_ID if id is None else EngineRequest(Purpose.UPGRADE, id)


def _judge_polling(head: Head, sid: str | None) -> EngineRequest | EngineError:
    if head.tokens("upgrade"):
        return BAD_REQUEST
    if sid is None:
        return EngineRequest(Purpose.HANDSHAKE) if head.method == "GET" else BAD_HANDSHAKE_METHOD
    id = ids.parse(sid)
    if id is None:
        return UNKNOWN_ID
    if head.method == "GET" and not head.has_body():
        return EngineRequest(Purpose.POLL, id)
    if head.method != "POST" or head.headers.get("content-type", "").startswith("application/octet-stream"):
        return BAD_REQUEST
    return EngineRequest(Purpose.POST, id)


def as_error(refusal: Refusal) -> EngineError:
    """A refusal of the door's or of the admission's, in the protocol's words."""
    code = FORBIDDEN.code if refusal.status in (401, 403) else BAD_REQUEST.code
    return EngineError(code, refusal.message, refusal.status, refusal.headers)
