"""Core: what a client of the crowd reads and writes: the answer's head, frames however TCP cut them, masked frames."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GOOD_BYE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # 1000
HEAD_LIMIT = 16_384  # bytes of a response's head


def split_head(data: bytes) -> tuple[int, bytes] | None:
    """The status of the server's answer and the bytes behind its head; None while the head is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0 and len(data) < HEAD_LIMIT:
        return None
    words = data[:32].split(b" ", 2)
    status = int(words[1][:3]) if len(words) > 1 and words[1][:3].isdigit() else 0
    return (status, data[end + 4 :]) if end >= 0 else (0, b"")


def whole_text(data: bytes) -> int:
    """Where the payload begins when `data` is exactly one whole text frame, the usual case; else 0."""
    if len(data) < 2 or data[0] != 0x81:
        return 0
    length = data[1]
    if length < 126:
        return 2 if length == len(data) - 2 else 0
    if length == 126 and len(data) >= 4:
        return 4 if (data[2] << 8 | data[3]) == len(data) - 4 else 0
    return 0


def cut(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The whole frames that `data` begins with, as (opcode, payload), and the rest. A client gets none with a mask."""
    frames: list[tuple[int, bytes]] = []
    at, size = 0, len(data)
    while size - at >= 2:
        length, start = data[at + 1] & 0x7F, at + 2
        if length == 126:
            start = at + 4
            length = int.from_bytes(data[at + 2 : start], "big") if size >= start else size
        elif length == 127:
            start = at + 10
            length = int.from_bytes(data[at + 2 : start], "big") if size >= start else size
        if start + length > size:
            break
        frames.append((data[at] & 0x0F, data[start : start + length]))
        at = start + length
    return frames, data[at:]


def masked(opcode: int, payload: bytes) -> bytes:
    """One small frame as clients send it, with a mask of zeros: at most 125 bytes."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + b"\x00\x00\x00\x00" + payload


def close_code(payload: bytes) -> int:
    """What a close frame says; 1005 when it says nothing (RFC 6455 §7.4.1)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
