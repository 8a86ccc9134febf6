"""Calls whose answer is hard to give: it is too long, or its deadline passes before it may leave."""

import time
from collections.abc import Iterator

from grpc_health.v1 import health_pb2

from bench.hostile import frames
from bench.hostile.attack import Attack, Ports, flood
from bench.hostile.peer import Peer, opened

DEADLINE_CALLS = 500
PERCENT_BYTES = 6_000_000
METADATA_BYTES = 70_000


def deadlines_behind_a_window(target: Ports, seconds: float) -> str:
    """Calls with a deadline of 200 ms, whose answers a window of 0 holds back: each must end."""
    peer = Peer(target.port, window=0)
    timeout = [("grpc-timeout", "200m")]
    calls = [frames.call(stream, frames.HEALTH, b"", timeout) for stream in range(1, 2 * DEADLINE_CALLS, 2)]
    peer.write(b"".join(calls), seconds)
    peer.read(max(1.0, seconds), lambda: len(peer.ended) >= DEADLINE_CALLS)
    peer.close()
    return f"{peer.outcome()}; {len(peer.ended)} of {DEADLINE_CALLS} ended"


def long_names(target: Ports, seconds: float) -> str:
    """Health of a service whose name has 20,000 bytes, which the refusal may repeat, again and again."""
    body = frames.message(health_pb2.HealthCheckRequest(service="s" * 20_000).SerializeToString())
    parts = [body[at : at + 16384] for at in range(0, len(body), 16384)]

    def calls() -> Iterator[bytes]:
        for stream in range(1, 1 << 30, 2):
            data = [frames.frame(frames.DATA, 0, stream, part) for part in parts]
            ended = frames.frame(frames.DATA, frames.END_STREAM, stream)
            yield frames.headers(stream, frames.request_fields(frames.HEALTH)) + b"".join([*data, ended])

    return flood(Peer(target.port), calls(), seconds, rate=1e6)


def percent_signs(target: Ports, seconds: float) -> str:
    """Health of a service whose name is 6 MB of %, each of which a status escapes threefold."""
    peer, (stream, *_) = opened(target.port, 2, frames.HEALTH)
    left = frames.message(health_pb2.HealthCheckRequest(service="%" * PERCENT_BYTES).SerializeToString())
    until = time.monotonic() + max(seconds, 5)
    while left and time.monotonic() < until and not peer.closed and stream not in peer.ended:
        left = left[peer.send_data(stream, left[: 1 << 20]) :]
        peer.read(0.02)
    peer.write(frames.frame(frames.DATA, frames.END_STREAM, stream), 1)
    peer.read(3, lambda: stream in peer.ended)
    return _state(peer, stream)


def large_metadata(target: Ports, seconds: float) -> str:
    """A call with 70 KB of metadata: the call may be refused, the connection must live."""
    peer = Peer(target.port)
    peer.write(frames.call(1, frames.HEALTH, b"", [("x-large", "v" * METADATA_BYTES)]), 2)
    peer.read(0.5, lambda: 1 in peer.ended)
    return _state(peer, 1)


def _state(peer: Peer, stream: int) -> str:
    alive = peer.ping(2)
    peer.close()
    answer = peer.responses.get(stream, {})
    status = answer.get("grpc-status") or answer.get(":status") or "none"
    ended = f"ended, status {status}, a message of {len(answer.get('grpc-message', '')):,} bytes"
    call = f"the call has {ended if stream in peer.ended else 'not ended'}"
    return f"{peer.outcome()}; the connection {'lives' if alive else 'is gone'}, {call}"


LIVES = "the connection lives, the call has ended"
ATTACKS = [
    Attack("deadlines behind a window of 0", "answers", deadlines_behind_a_window, must_find="500 of 500 ended"),
    Attack("health of a 20,000-byte service", "answers", long_names),
    Attack("health of 6 MB of %", "answers", percent_signs, must_find=LIVES),
    Attack("70 KB of metadata", "answers", large_metadata, must_find=LIVES),
]
