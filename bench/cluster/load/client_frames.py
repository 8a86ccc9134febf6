"""Core: what a load client reads and writes: the handshake's response, frames in any segmentation, masked frames."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CLOSE_1000 = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # a masked close frame with code 1000
MAX_HEAD_BYTES = 16_384  # of a response


def split_response(data: bytes) -> tuple[int, bytes] | None:
    """The status of an HTTP response and the bytes after its head; None while the head is incomplete.

    Status 0: no HTTP response, or a head over MAX_HEAD_BYTES.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 and len(data) < MAX_HEAD_BYTES:
        return None
    words = data[:32].split(b" ", 2)
    status = int(words[1][:3]) if len(words) > 1 and words[1][:3].isdigit() else 0
    return (status, data[end + 4 :]) if end >= 0 else (0, b"")


def text_payload_start(data: bytes) -> int:
    """The offset of the payload when `data` is exactly one complete text frame, the usual case; else 0."""
    if len(data) < 2 or data[0] != 0x81:
        return 0
    length = data[1]
    if length < 126:
        return 2 if length == len(data) - 2 else 0
    if length == 126 and len(data) >= 4:
        return 4 if (data[2] << 8 | data[3]) == len(data) - 4 else 0
    return 0


def parse_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The complete frames at the start of `data`, as (opcode, payload), and the rest. Server frames have no mask."""
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


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame of at most 125 bytes, with a mask of zeros."""
    return bytes((0x80 | opcode, 0x80 | len(payload))) + b"\x00\x00\x00\x00" + payload


def close_code(payload: bytes) -> int:
    """The code of a close frame; 1005 when the frame has none (RFC 6455 §7.4.1)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
