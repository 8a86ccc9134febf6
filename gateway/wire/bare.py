"""Core: no envelope. The data of a push is a message, a message from the client is an event without a name."""

from gateway.wire.values import (
    NO_MESSAGES,
    ClientEvent,
    ClientMessage,
    ErrorReply,
    Hello,
    Message,
    Messages,
    PushedMessage,
)


class Bare:
    """The codec of a connection without a subprotocol: it receives pushes only."""

    name = ""
    namespace = "/"
    acks = False

    def push(self, pushed: PushedMessage) -> Messages:
        return (Message(_is_text(pushed.content_type, pushed.data), (pushed.data,)),)

    def hello(self, hello: Hello) -> Messages:
        return NO_MESSAGES

    def reply(self, id: int, data: bytes, content_type: str) -> Messages:
        return NO_MESSAGES

    def ok(self, id: int) -> Messages:
        return NO_MESSAGES

    def joined(self, file: str) -> Messages:
        return NO_MESSAGES

    def left(self, file: str) -> Messages:
        return NO_MESSAGES

    def error(self, error: ErrorReply) -> Messages:
        return NO_MESSAGES

    def pong(self, id: int | None) -> Messages:
        return NO_MESSAGES

    def reconnect(self, after_ms: int, reason: str) -> Messages:
        return NO_MESSAGES

    def read(self, text: bool, payload: bytes) -> ClientMessage:
        content_type = "text/plain; charset=utf-8" if text else "application/octet-stream"
        return ClientEvent("", payload, content_type)


BARE = Bare()
"""The one that all connections of the process share, as encodings are kept by their codec."""


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
