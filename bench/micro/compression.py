"""The CPU of compression: by level and size, of a push to many receivers, of reading.

    python -m bench.micro.compression    measure and print (--json for programs)

The payload is JSON such as backends push: objects with random numbers and words, so that it has no long repeats. The
memory of a connection that has negotiated it: `python -m bench.micro.read_memory gateway deflate`.
"""

import argparse
import json
import random
import zlib
from collections.abc import Callable

from bench.micro.wire import cpu_us
from gateway.wire.deflate import CompressionSettings, DeflateFraming, inflate
from gateway.wire.encoding import Encoding
from gateway.wire.envelope_json import JsonEnvelope
from gateway.wire.frames import WEBSOCKET
from gateway.wire.messages import CompressedReceived, MessageLimits, MessageReceived, receive
from gateway.wire.values import Message, PushedMessage

SIZES = (256, 512, 1024, 2048, 4096, 16_384, 65_536, 1_000_000)
LEVELS = (1, 3, 6, 9)
FANOUT_SIZES = (1024, 4096, 16_384)
RECEIVERS = 100
WORDS = ("insert", "delete", "cursor", "paragraph", "heading", "author", "revision", "comment", "table", "figure")
LIMITS = MessageLimits(inflate=True)
Rows = list[dict[str, float]]


def sample(size: int) -> bytes:
    """JSON of this size, cut anywhere."""
    numbers = random.Random(size)
    rows = []
    for _ in range(size // 80 + 1):
        text = " ".join(numbers.choices(WORDS, k=4))
        rows.append({"id": numbers.randrange(10**9), "text": text, "at": 1_700_000_000 + numbers.randrange(10**6)})
    return json.dumps(rows).encode()[:size]


def us(call: Callable[[], object], size: int) -> float:
    """Microseconds of CPU a call, of as many as take a moment."""
    return round(cpu_us(call, max(5, 4_000_000 // (size + 2000))), 1)


def measure_levels() -> Rows:
    """A message compressed, and read again, by size and level."""
    rows = []
    for size in SIZES:
        message = Message(True, (sample(size),))
        for level in LEVELS:
            framing = DeflateFraming(15, CompressionSettings(threshold=1, level=level))
            frame = framing.frame((message,))
            compressed = CompressedReceived(True, _deflated(message.parts[0], level))
            sent = us(lambda f=framing, m=message: f.frame((m,)), size)  # type: ignore[misc]
            read = us(lambda c=compressed: inflate(c, LIMITS), size)  # type: ignore[misc]
            rows.append(
                {"bytes": size, "level": level, "us": sent, "ratio": round(len(frame) / size, 3), "inflate us": read}
            )
    return rows


def measure_fanout() -> Rows:
    """The CPU for each receiver of a push, without its socket: encoded and compressed once, and once for each."""
    rows = []
    for size in FANOUT_SIZES:
        framing = DeflateFraming(15, CompressionSettings())
        push = PushedMessage("edit", json.dumps(sample(size).decode()).encode(), "", "p", "notes")
        encoding, plain = Encoding(JsonEnvelope(), framing), Encoding(JsonEnvelope(), WEBSOCKET)
        frames: dict[Encoding, bytes] = {encoding: encoding.push(push)}
        once = us(lambda e=encoding, p=push: e.push(p), size)  # type: ignore[misc]
        shared = us(lambda f=frames, e=encoding: f.get(e), 0)  # type: ignore[misc]
        uncompressed = us(lambda e=plain, p=push: e.push(p), size)  # type: ignore[misc]
        rows.append(
            {
                "bytes": size,
                "each us": once,
                "shared us": round(once / RECEIVERS + shared, 2),
                "uncompressed once us": uncompressed,
                "frame bytes": len(frames[encoding]),
                "uncompressed bytes": len(plain.push(push)),
            }
        )
    return rows


def measure_receive() -> Rows:
    """A small message from the client, compressed and not, from its bytes to the message."""
    rows = []
    for size in (50, 200, 1000):
        data = sample(size)
        compressed = _deflated(data, 6)
        wire = _client_frame(compressed)

        def read(wire: bytes = wire) -> None:
            [event], _ = receive(wire, None, LIMITS)
            assert isinstance(event, CompressedReceived)
            assert isinstance(inflate(event, LIMITS), MessageReceived)

        rows.append({"bytes": size, "on the wire": len(wire), "read us": round(cpu_us(read, 20_000), 2)})
    return rows


def _client_frame(payload: bytes) -> bytes:
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\xc1" + length + bytes(4) + payload


def _deflated(data: bytes, level: int) -> bytes:
    stream = zlib.compressobj(level, wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = {"levels": measure_levels(), "fan-out": measure_fanout(), "receive": measure_receive()}
    if arguments.json:
        print(json.dumps(measured))
        return
    for name, rows in measured.items():
        print(name, *rows[0], sep="\t")
        for row in rows:
            print("", *row.values(), sep="\t")


if __name__ == "__main__":
    main()
