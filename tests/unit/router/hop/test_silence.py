"""When a node that sends something still counts as silent."""

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.hop.stream import SILENT_PINGS, HopSettings, StreamHop


async def fencing(_incarnation: Incarnation) -> "node_pb2.Fencing.State":
    return node_pb2.Fencing.ALIVE


async def test_only_an_answer_shows_that_the_way_there_is_open() -> None:
    """With the way to the node blocked, what it sends by itself arrives (docs/faults.md, experiment 8a)."""
    hop = StreamHop("r", Incarnation("n", 7), "127.0.0.1:1", HopSettings(), lambda: 0, fencing, lambda _hop: None)
    hop._connected, hop._dialling, hop._unanswered_pings = True, False, SILENT_PINGS
    for message in (
        node_pb2.NodeMessage(unregistered=node_pb2.Unregistered(any=True)),
        node_pb2.NodeMessage(fencing_queries=[node_pb2.FencingQuery(query=1)]),
        node_pb2.NodeMessage(stats=node_pb2.Stats(sessions=1)),
    ):
        hop._on_message(message)
        assert not hop.reachable
    hop._on_message(node_pb2.NodeMessage(pong=1))
    assert hop.reachable
