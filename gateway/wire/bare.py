"""Core: no envelope. The data of a push is a frame, a frame from the client is an event without a name."""

from gateway.wire.frames import binary_frame, text_frame
from gateway.wire.ports import ClientEvent, ClientMessage, ErrorReply, Hello, Pushed


class Bare:
    """The codec of a connection without a subprotocol: it hears pushes only."""

    name = ""
    acks = False

    def push(self, pushed: Pushed) -> bytes:
        return text_frame(pushed.data) if _is_text(pushed.content_type, pushed.data) else binary_frame(pushed.data)

    def hello(self, hello: Hello) -> None:
        return None

    def reply(self, id: int, data: bytes, content_type: str) -> None:
        return None

    def ok(self, id: int) -> None:
        return None

    def error(self, complaint: ErrorReply) -> None:
        return None

    def pong(self, id: int | None) -> None:
        return None

    def reconnect(self, after_ms: int, reason: str) -> None:
        return None

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        content_type = "text/plain; charset=utf-8" if text else "application/octet-stream"
        return ClientEvent("", payload, content_type)


def _is_text(content_type: str, data: bytes) -> bool:
    """JSON and text/*. What only claims to be text goes out as binary: a text frame must be UTF-8 (RFC 6455 §5.6)."""
    if not content_type:
        return True  # JSON, already checked
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.startswith("text/"):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
