"""What a server must hold for a peer: unfinished messages, unread answers, large ones."""

import time

import grpc

from bench.hostile import frames
from bench.hostile.attack import Attack, Ports, RunAttack, flood
from bench.hostile.peer import Peer, opened
from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

MESSAGE = 4 * 1024 * 1024  # bytes of a message that never ends
PART = 1 << 18  # bytes of a message in one turn
MAX_TAKEN = 1_500_000_000  # bytes: the machine must withstand the attack too
LARGE_PUSH = 900_000  # bytes
BATCH = 16_000  # bytes of requests in one frame


def large_pushes(target: Ports, seconds: float) -> str:
    """Unary pushes of 900 KB, one after another, by an honest client."""
    request = pb.PushRequest(
        target=pb.Target(user="nobody"), event="e", data=bytes(LARGE_PUSH), content_type="application/octet-stream"
    )
    count, until = 0, time.monotonic() + seconds
    with grpc.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        push = router_pb2_grpc.RouterStub(channel).Push  # type: ignore[no-untyped-call]
        while time.monotonic() < until:
            push(request, timeout=10)
            count += 1
    return f"{count:,} pushes"


def unfinished_messages(ports: Ports, seconds: float) -> str:
    """The beginning of a message of 4 MB on every stream, as far as the windows allow."""
    peer, streams = opened(ports.port, 1000, frames.PUSH_STREAM)
    prefix, zeros = b"\0" + frames.uint32(MESSAGE), bytes(PART)
    taken = sum(peer.send_data(stream, prefix) for stream in streams)
    left, until = dict.fromkeys(streams, MESSAGE - PART), time.monotonic() + seconds
    while any(left.values()) and taken < MAX_TAKEN and time.monotonic() < until and not peer.closed:
        before = taken
        for stream, size in left.items():
            sent = peer.send_data(stream, zeros[:size], seconds=1)
            taken, left[stream] = taken + sent, size - sent
        if taken == before:
            peer.read(0.1)
    return hold(peer, f"{taken / 1e6:,.0f} MB taken on {len(streams)} streams", until)


def hold(peer: Peer, found: str, until: float) -> str:
    """Keep the connection until the end of the attack."""
    peer.read(max(0.2, until - time.monotonic()))
    peer.close()
    return f"{peer.outcome()}; {found}"


def unread_answers(path: str, request: bytes, count: int) -> RunAttack:
    """Requests on `count` streams as far as the windows allow, while the answers' window is 0."""

    def run(target: Ports, seconds: float) -> str:
        peer, streams = opened(target.port, count, path, window=0)
        batch = frames.message(request) * max(1, BATCH // (len(request) + 5))
        taken, until = 0, time.monotonic() + seconds
        while time.monotonic() < until and not peer.closed:
            before = taken
            taken += sum(peer.send_data(stream, batch) for stream in streams if peer.available(stream) >= len(batch))
            if taken == before:
                peer.read(0.1)
        return hold(peer, f"{taken / 1e6:.1f} MB of requests taken", until)

    return run


def errors_unread(target: Ports, seconds: float) -> str:
    """Calls of a method that is not here, by a peer that reads nothing."""
    fields = frames.request_fields("/homing.v1.Router/None")
    chunks = (
        b"".join(frames.headers(stream, fields, True) for stream in range(first, first + 400, 2))
        for first in range(1, 1 << 30, 400)
    )
    return flood(Peer(target.port), chunks, seconds, reads=False)


SYMBOL = b"\x22\x10homing.v1.Router"  # file_containing_symbol
PUSH = pb.PushRequest(target=pb.Target(user="nobody"), event="e", data=b"1", push_id="p")
PUSHES = pb.PushStreamRequest(pushes=[PUSH]).SerializeToString()
ATTACKS = [
    Attack("900 KB pushes", "memory", large_pushes),
    Attack("unfinished messages on all streams", "memory", unfinished_messages, least_seconds=8),
    Attack("reflection, window 0", "memory", unread_answers(frames.REFLECTION, SYMBOL, 10)),
    Attack("reports unread, window 0", "memory", unread_answers(frames.PUSH_STREAM, PUSHES, 50)),
    Attack("errors unread", "memory", errors_unread),
]
