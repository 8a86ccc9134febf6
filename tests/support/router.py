"""A router's table, fleet and calls over in-memory hops; nodes answer what a test has put into `answers`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from homing.internal.v1 import node_pb2
from registry.model import Incarnation, Node
from router.hop.fleet import Fleet
from router.hop.memory import MemoryHop
from router.hop.port import OnChange
from router.node_requests import NodeRequests
from tests.support.table import TableFeed


class RouterRig:
    """`requests`: what each node was sent, in order. A node without an answer answers NOT_MINE."""

    def __init__(self) -> None:
        self.feed = TableFeed()
        self.hops: dict[str, MemoryHop] = {}
        self.answers: dict[str, node_pb2.NodeResponse] = {}
        self.requests: list[tuple[str, node_pb2.NodeRequest]] = []
        self.fleet = Fleet(self.feed, self._make_hop)
        self.node_requests = NodeRequests(self.feed, self.fleet)

    def _make_hop(self, incarnation: Incarnation, _node: Node, on_change: OnChange) -> MemoryHop:
        hop = MemoryHop(incarnation, lambda message: self._serve(incarnation.node, message), on_change)
        self.hops[incarnation.node] = hop
        return hop

    def _serve(self, node: str, message: node_pb2.RouterMessage) -> node_pb2.NodeMessage:
        responses = []
        for request in message.requests:
            self.requests.append((node, request))
            response = node_pb2.NodeResponse(verdict=node_pb2.NOT_MINE)
            response.CopyFrom(self.answers.get(node, response))
            response.call = request.call
            responses.append(response)
        return node_pb2.NodeMessage(responses=responses)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> "AsyncIterator[RouterRig]":
        """A rig whose fleet is started, and closed at the end."""
        rig = cls()
        async with asyncio.TaskGroup() as group:
            rig.fleet.start(group)
            yield rig
            rig.fleet.close()


def done(**fields: object) -> node_pb2.NodeResponse:
    """A node's answer that it was done."""
    return node_pb2.NodeResponse(verdict=node_pb2.DONE, **fields)
