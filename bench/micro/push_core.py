"""The cost of a push in a router without sockets: read from a PushStream, checked, planned, sent to a hop, reported.

    python -m bench.micro.push_core [--pushes 40000] [--batch 1] [--profile]

The router's own code, with stubs for the streams of three nodes, which answer at once; their cost is measured
separately and subtracted. `--batch`: pushes per PushStream message.
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
from router.caller import LOOPBACK
from router.delivery.routed import Routed
from router.hop.stream import HopSettings, StreamHop
from router.push_handler import PushHandler
from tests.support.table import TableFeed

USERS = 300
NODES = 3


class NodeStub:
    """The node's end of a hop: answers every push with WRITTEN, within `send`."""

    writable = True

    def __init__(self, hop: StreamHop) -> None:
        self._hop = hop
        self.seconds = 0.0  # spent in this stub

    def send(self, message: bytes) -> None:
        started_at = time.perf_counter()
        pushes = node_pb2.RouterMessage.FromString(message).pushes
        answers = node_pb2.NodeMessage()
        for push in pushes:
            answer = answers.pushes.add(call=push.call, verdict=node_pb2.DONE)
            answer.counts.add(outcome=pb.Delivery.WRITTEN, sessions=1)
            answer.deliveries.add(session=7, user=push.receivers.user, outcome=pb.Delivery.WRITTEN, latency_us=100)
        raw = answers.SerializeToString()
        self.seconds += time.perf_counter() - started_at
        self._hop._on_message(node_pb2.NodeMessage.FromString(raw))


class StaticFleet:
    """A fleet whose hops never change."""

    def __init__(self, hops: dict[Incarnation, StreamHop]) -> None:
        self.hop = hops.get

    def scattering(self) -> frozenset[Incarnation]:
        """No node has unregistered sessions."""
        return frozenset()


def full_feed() -> tuple[TableFeed, list[Incarnation]]:
    """A feed whose table has all nodes and users, and its nodes."""
    feed = TableFeed()
    incarnations = [feed.node(f"g{number}") for number in range(NODES)]
    for number in range(USERS):
        feed.session(incarnations[number % NODES], f"user-{number}", 1000 + number)
    return feed, incarnations


async def never_called(_incarnation: Incarnation) -> node_pb2.Fencing.State:
    """The nodes send no fencing queries."""
    return node_pb2.Fencing.ALIVE


def connected_hop(incarnation: Incarnation) -> tuple[StreamHop, NodeStub]:
    """A hop that is connected to a stub."""
    hop = StreamHop("router", incarnation, "127.0.0.1:1", HopSettings(), lambda: 0, never_called, lambda _hop: None)
    hop._connected = True
    node = NodeStub(hop)
    hop._batcher.attach(node)  # type: ignore[arg-type]
    return hop, node


async def run(pushes: int, batch: int, profile: cProfile.Profile | None) -> float:
    """Microseconds of CPU per push."""
    feed, incarnations = full_feed()
    connected = {incarnation: connected_hop(incarnation) for incarnation in incarnations}
    fleet = StaticFleet({incarnation: hop for incarnation, (hop, _) in connected.items()})
    delivery = Routed(feed, fleet, counters(names.ROUTER))  # type: ignore[arg-type]
    settings = ApiSettings()
    stream = PushStreamCall(settings, PushHandler(delivery, settings.max_data), LOOPBACK, lambda _linger: None)
    messages = [encode_message(start, batch) for start in range(0, pushes, batch)]
    reported = 0
    if profile is not None:
        profile.enable()
    started_at = time.process_time()
    for raw in messages:
        request = pb.PushStreamRequest.FromString(raw)
        stream.receive(request, len(raw), time.monotonic_ns())
        while stream.in_flight:
            await asyncio.sleep(0)
        while (response := stream.next_response()) is not None:
            response.SerializeToString()
            reported += len(response.reports)
    seconds = time.process_time() - started_at
    if profile is not None:
        profile.disable()
    assert reported == pushes, (reported, pushes)
    return (seconds - sum(node.seconds for _, node in connected.values())) / pushes * 1e6


def encode_message(start: int, number: int) -> bytes:
    """A PushStream message with `number` pushes to one user each, 200 bytes of data each."""
    data = b'"' + b"x" * 198 + b'"'
    pushes = (
        pb.PushRequest(target=pb.Target(user=f"user-{n % USERS}"), event="e", data=data, push_id=f"p{n}")
        for n in range(start, start + number)
    )
    return pb.PushStreamRequest(pushes=pushes).SerializeToString()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    profile = cProfile.Profile() if arguments.profile else None
    runs = (uvloop.run(run(arguments.pushes, arguments.batch, profile)) for _ in range(1 if profile else 3))
    print(f"{min(runs):.1f} us per push, {arguments.batch} in a message")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()
