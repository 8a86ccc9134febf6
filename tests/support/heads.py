"""Request heads as bytes, for the door's tests."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Host": "gateway.example",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def head(target: str = "/ws", method: str = "GET", version: str = "HTTP/1.1", extra: str = "", **changes: str | None):
    """A handshake's head; a change (with _ for -) to None takes the header away, `extra` are whole further lines."""
    named = {name.lower().replace("-", "_"): name for name in HANDSHAKE}
    headers = HANDSHAKE | {named.get(name.lower(), name.replace("_", "-")): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return (
        "\r\n".join([f"{method} {target} {version}", *lines]).encode("latin-1")
        + b"\r\n"
        + extra.encode("latin-1")
        + b"\r\n"
    )
