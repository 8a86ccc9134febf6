"""What a push costs a router without sockets: read from a PushStream, checked, planned, handed to a hop, reported.

    python -m bench.micro.push_core [--pushes 40000] [--batch 1] [--profile]

Everything is the router's own code but the three nodes' streams, which answer at once; what they cost is measured
apart and taken off. `--batch`: pushes in one PushStream message.
"""

import argparse
import asyncio
import cProfile
import pstats
import time

import uvloop

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2 as pb
from observability import names
from observability.counters import counters
from registry.model import Incarnation
from router.api.push_stream import PushStreamCall
from router.api.settings import ApiSettings
from router.delivery.routed import Routed
from router.hop.stream import HopSettings, StreamHop
from tests.support.table import TableFeed

USERS = 300
NODES = 3


class Stream:
    """The node's end of a hop: takes bytes, answers bytes."""

    writable = True

    def __init__(self, hop: StreamHop) -> None:
        self.hop = hop
        self.seconds = 0.0

    def send(self, message: bytes) -> None:
        began = time.perf_counter()
        asked = node_pb2.RouterMessage.FromString(message)
        answer = node_pb2.NodeMessage()
        for push in asked.pushes:
            one = answer.pushes.add(call=push.call, verdict=node_pb2.DONE)
            one.counts.add(outcome=pb.Delivery.WRITTEN, sessions=1)
            one.deliveries.add(session=7, user=push.receivers.user, outcome=pb.Delivery.WRITTEN, latency_us=100)
        raw = answer.SerializeToString()
        self.seconds += time.perf_counter() - began
        self.hop._hear(node_pb2.NodeMessage.FromString(raw))


class Snapshot:
    """A feed whose table is full and never changes."""

    def __init__(self) -> None:
        self.full = TableFeed()
        self.table = self.full.table
        self.incarnations = [self.full.node(f"g{number}") for number in range(NODES)]
        for number in range(USERS):
            self.full.session(self.incarnations[number % NODES], f"user-{number}", 1000 + number)


async def run(pushes: int, batch: int, profile: cProfile.Profile | None) -> float:
    """CPU microseconds a push."""
    feed = Snapshot()
    hops: dict[Incarnation, StreamHop] = {}
    streams = []
    for incarnation in feed.incarnations:
        hop = StreamHop("router", incarnation, "127.0.0.1:1", HopSettings(), lambda: 0, no_fencing, lambda _hop: None)
        hop._connected = True
        stream = Stream(hop)
        hop._batcher.attach(stream)  # type: ignore[arg-type]
        hops[incarnation] = hop
        streams.append(stream)
    delivery = Routed(feed.full, Hops(hops), counters(names.ROUTER))  # type: ignore[arg-type]
    call = PushStreamCall(ApiSettings(), delivery)
    messages = [message(start, batch).SerializeToString() for start in range(0, pushes, batch)]
    reported = 0
    if profile is not None:
        profile.enable()
    began = time.process_time()
    for raw in messages:
        request = pb.PushStreamRequest.FromString(raw)
        call.take(request, len(raw), time.monotonic_ns())
        while call.under_way:
            await asyncio.sleep(0)
        while (reports := call.reports()) is not None:
            reports.SerializeToString()
            reported += len(reports.reports)
    took = time.process_time() - began
    if profile is not None:
        profile.disable()
    assert reported == pushes, (reported, pushes)
    return (took - sum(stream.seconds for stream in streams)) / pushes * 1e6


class Hops:
    """A fleet that stands still."""

    def __init__(self, hops: dict[Incarnation, StreamHop]) -> None:
        self.hop = hops.get

    def scattering(self) -> frozenset[Incarnation]:
        """Etcd knows everything."""
        return frozenset()


async def no_fencing(_incarnation: Incarnation) -> node_pb2.Fencing.State:
    """Nobody asks."""
    return node_pb2.Fencing.ALIVE


def message(start: int, number: int) -> pb.PushStreamRequest:
    """So many pushes to single users, 200 bytes each."""
    return pb.PushStreamRequest(
        pushes=[
            pb.PushRequest(
                target=pb.Target(user=f"user-{n % USERS}"), event="e", data=b'"' + b"x" * 198 + b'"', push_id=f"p{n}"
            )
            for n in range(start, start + number)
        ]
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    profile = cProfile.Profile() if given.profile else None
    best = min(uvloop.run(run(given.pushes, given.batch, profile)) for _ in range(1 if profile else 3))
    print(f"{best:.1f} us a push, {given.batch} in a message")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()
