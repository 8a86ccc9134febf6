"""Core: what the door writes, as bytes: the 101, and refusals in plain HTTP with our JSON."""

from email.utils import formatdate
from http import HTTPStatus

import msgspec

from gateway.door.upgrade import Handshake
from gateway.door.values import Refusal


def switching(handshake: Handshake) -> bytes:
    """The 101 that completes a handshake (RFC 6455 §4.2.2)."""
    chosen = f"Sec-WebSocket-Protocol: {handshake.subprotocol}\r\n" if handshake.subprotocol else ""
    extensions = f"Sec-WebSocket-Extensions: {handshake.deflate.answer()}\r\n" if handshake.deflate else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {handshake.accept}\r\n{chosen}{extensions}\r\n"
    ).encode()


def refused(refusal: Refusal, request_id: str, now: float, is_head: bool = False) -> bytes:
    """A whole HTTP answer, after which the connection is closed: `{"error":{"code","message","request_id"}}`.

    `now`: seconds since the Unix epoch. `is_head`: the answer to HEAD, which has no body (RFC 9110 §9.3.2).
    """
    error = {"code": refusal.code, "message": refusal.message, "request_id": request_id}
    body = msgspec.json.encode({"error": error})
    # RFC 9110 §7.8: who sends Upgrade must name it in Connection too.
    connection = "close, Upgrade" if any(name == "Upgrade" for name, _ in refusal.headers) else "close"
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        f"Date: {formatdate(now, usegmt=True)}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Connection: {connection}",
        *(f"{name}: {value}" for name, value in refusal.headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if is_head else body)
