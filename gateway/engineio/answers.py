"""Core: HTTP answers on Engine.IO paths, as bytes. Their bodies are small, or were joined once."""

from email.utils import formatdate
from http import HTTPStatus

import msgspec

from gateway.door.head import Head
from gateway.engineio.requests import EngineError

TEXT = "text/plain; charset=UTF-8"
JSON = "application/json"
POSTED = b"ok"
PREFLIGHT_SECONDS = 7200  # for which a browser may remember the answer to a preflight


def answer(status: int, body: bytes, content_type: str, headers: tuple[tuple[str, str], ...], now: float) -> bytes:
    """A whole answer; `now`: seconds since the Unix epoch."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {formatdate(now, usegmt=True)}"]
    if status != HTTPStatus.NO_CONTENT:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += ["Cache-Control: no-store", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def error_body(error: EngineError) -> bytes:
    """The JSON of an error."""
    return msgspec.json.encode({"code": error.code, "message": error.message})


def cors_headers(head: Head) -> tuple[tuple[str, str], ...]:
    """What lets the page of an allowed origin read the answer; nothing for who sends no Origin."""
    origin = head.headers.get("origin")
    if origin is None:
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
    )


def preflight_headers(head: Head) -> tuple[tuple[str, str], ...]:
    """The answer to a CORS preflight of an allowed origin."""
    headers = (("Access-Control-Allow-Methods", "GET, POST"), ("Access-Control-Max-Age", str(PREFLIGHT_SECONDS)))
    requested = head.headers.get("access-control-request-headers")
    return (*headers, ("Access-Control-Allow-Headers", requested)) if requested else headers
