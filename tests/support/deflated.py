"""Compressed messages as a client makes and reads them, by zlib alone."""

import zlib


def deflated(data: bytes, bits: int = 15, level: int = 6) -> bytes:
    """The payload of a compressed message."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload: bytes, bits: int = 15) -> bytes:
    """What a payload holds, read with no more than this window."""
    return zlib.decompressobj(-bits).decompress(payload + b"\x00\x00\xff\xff")
