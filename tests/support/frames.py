"""A client's frames as bytes, good and bad, written apart from the code under test."""

import struct

KEY = b"\x37\xfa\x21\x3d"


def frame(payload: bytes = b"", opcode: int = 1, fin: bool = True, rsv: int = 0, key: bytes | None = KEY) -> bytes:
    """One frame with the shortest length form; without a key it is unmasked."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if key is not None else 0
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, masked | size)
    elif size < 65536:
        head = struct.pack(">BBH", first, masked | 126, size)
    else:
        head = struct.pack(">BBQ", first, masked | 127, size)
    if key is None:
        return head + payload
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def long_form(size: int, form: int, opcode: int = 1) -> bytes:
    """Only a frame's head, with its length in the 16-bit (126) or 64-bit (127) form, whatever it is."""
    return struct.pack(">BB" + ("H" if form == 126 else "Q"), 0x80 | opcode, 0x80 | form, size) + KEY


def goodbye(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(b"" if code is None else struct.pack(">H", code) + reason, 8)
