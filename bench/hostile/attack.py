"""One attack: what is done to whom, and what it may cost."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bench.hostile.peer import Peer

RATE = 10e6  # bytes a second of a flood: what one core writes easily, beside what it attacks
CHUNK = 32 * 1024  # bytes of one write


class Ports(NamedTuple):
    """The ports of the server under attack."""

    port: int  # gRPC
    http_port: int


RunAttack = Callable[[Ports, float], str]
"""Takes the target and for how many seconds to attack; the result is what the server did, in words."""


class Attack(NamedTuple):
    """An attack, and what `bench.hostile.judge` allows."""

    name: str
    kind: str
    run: RunAttack
    source: str = ""  # the CVE that it repeats
    memory_mib: int = 96
    must_find: str = ""  # in the result of `run`
    least_seconds: float = 0.0  # it takes no less
    port: str = "grpc"


def flood(peer: Peer, chunks: Iterable[bytes], seconds: float, rate: float = RATE, reads: bool = True) -> str:
    """Write the chunks at this rate until the time is over or the server has ended the connection."""
    start = time.monotonic()
    for chunk in chunks:
        while (now := time.monotonic()) < start + seconds and peer.sent > (now - start) * rate:
            peer.read(0.005) if reads else time.sleep(0.005)
        if peer.closed or peer.goaway is not None or now >= start + seconds:
            break
        peer.write(chunk, start + seconds - now, reads)
    sent, duration = peer.sent, time.monotonic() - start
    peer.read(0.5)
    peer.close()
    return f"{peer.outcome()} after {sent / 1e6:.1f} MB, {duration:.1f} s"


def filled(frame: bytes) -> bytes:
    """As many of this frame as go into a chunk."""
    return frame * max(1, CHUNK // len(frame))


def reconnecting(run: RunAttack) -> RunAttack:
    """The attack on one connection after another, as long as each is ended by the server."""

    def run_again(ports: Ports, seconds: float) -> str:
        until, count, found = time.monotonic() + seconds, 0, ""
        while (left := until - time.monotonic()) > 0:
            count, found = count + 1, run(ports, left)
        return f"{count} connections; the last: {found}"

    return run_again
