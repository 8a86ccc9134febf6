"""One gateway's way in for Socket.IO and Engine.IO, on real sockets, with the node port behind it; the registry is in
memory. Several of them know each other as nodes of one cluster."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import websockets

from gateway.delivery.dedup import Dedup, DedupSettings
from gateway.delivery.push_writer import PushWriter
from gateway.door.address_limit import AddressLimit
from gateway.door.admission import Origins
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.proxies import NO_PROXIES
from gateway.door.routes import Routes
from gateway.engineio.connections import EngineConnections
from gateway.engineio.endpoint import EngineDoor, EngineEndpoint, EngineSettings
from gateway.engineio.transport import EngineTransport
from gateway.nodes import acknowledgements, relays, take_over
from gateway.nodes.acknowledgements import AckForwarder, AckHandler
from gateway.nodes.channels import NodeChannels
from gateway.nodes.hand_over import HandOverHandler, HandOvers
from gateway.nodes.owners import OtherNodes
from gateway.nodes.relay_server import RelayHandler
from gateway.nodes.relays import Relays
from gateway.nodes.take_over import TakeOvers
from gateway.sessions.acks import Acks
from gateway.socketio.admission import SocketIoAdmission
from gateway.socketio.services import Services
from gateway.wire.bare import Bare
from gateway.wire.messages import MessageLimits
from gateway.wire.socketio_codec import default_codec
from gateway.wire.unfinished import UnfinishedMessages
from gateway.wire.uploads import UploadRules
from homing.internal.v1 import node_pb2
from observability.tracing import OFF
from registry.ids import EPOCH_MS, SnowflakeGenerator
from registry.model import Incarnation, Node
from registry.node_directory import KnownNode
from runtime.grpc_wire.server import GrpcServer
from runtime.grpc_wire.shared_secret import SharedSecret
from tests.support.gateway import GatewayRig, gateway_rig

MAX_MESSAGE = 10_000
SECRET = SharedSecret(b"a secret of the cluster")
ORIGIN = "https://app.example"


class Directory:
    """The nodes of the test, by machine id."""

    def __init__(self) -> None:
        self.nodes: dict[int, KnownNode] = {}

    def find(self, machine: int) -> KnownNode | None:
        return self.nodes.get(machine)


class EngineNode:
    """One node."""

    url: str

    def __init__(self, rig: GatewayRig, machine: int, directory: Directory, secret: SharedSecret = SECRET) -> None:
        self.rig = rig
        self.may_act = True
        ids = SnowflakeGenerator(machine, EPOCH_MS)
        ids.raise_ceiling(time.time_ns() // 1_000_000 + 3_600_000)
        self.next_id = lambda: ids.next_id(time.time_ns() // 1_000_000)
        self.machine = machine
        self.directory = directory
        self.acks = Acks(lambda: machine)
        self.dedup = Dedup(DedupSettings(), rig.counters)
        self.writer = PushWriter(
            *("node", rig.index, self.acks, self.dedup, rig.slow, rig.deadlines, rig.counters, OFF), has_namespaces=True
        )
        self.channels = NodeChannels(directory, secret)  # type: ignore[arg-type]
        self.engines = EngineConnections[EngineTransport]()
        self.addresses = AddressLimit(1000)
        self._make_endpoints()

    def _make_endpoints(self) -> None:
        rig, counted = self.rig, self.rig.counters
        services = Services(
            *(frozenset(("/", "/chat")), rig.admission, rig.sessions, rig.verify),
            AckForwarder(self.acks, self.channels, rig.tasks),
            *(rig.rates, rig.deadlines, rig.tasks, MAX_MESSAGE, set()),
        )
        self.socketio = SocketIoAdmission(services, rig.budget)
        take_overs = TakeOvers(
            *(self.engines, self.addresses, services, rig.commands, rig.admission, rig.sessions, self.dedup),
            *(rig.budget, rig.deadlines, rig.tasks, counted),
        )
        owners = OtherNodes(self.channels, Relays(self.channels, rig.tasks, counted), take_overs)
        uploads = UploadRules(MessageLimits(MAX_MESSAGE), UnfinishedMessages(1_000_000), partial(_watch, rig))
        door = EngineDoor(
            *(Origins(frozenset((ORIGIN,))), rig.verify, NO_PROXIES, self.addresses, uploads, self.engines),
            *(EngineSettings(50_000, 20_000, MAX_MESSAGE), rig.deadlines, lambda: self.next_id(), owners),
        )
        routes = Routes(
            {
                "/socket.io/": EngineEndpoint(door, self.socketio, default_codec("/")),
                "/engine.io/": EngineEndpoint(door, rig.authentication, Bare()),
            }
        )
        self.listener = ClientListener(routes, HandshakeLimits(), counted)
        hand_overs = HandOvers(self.engines, rig.sessions, self.dedup, rig.deadlines, lambda: self.may_act)
        methods = {
            relays.PATH: lambda call: RelayHandler(self.engines, call),
            take_over.PATH: lambda call: HandOverHandler(hand_overs, call),
            acknowledgements.PATH: lambda call: AckHandler(self.acks, call),
        }
        self.server = GrpcServer(SECRET.guard(methods))  # type: ignore[arg-type]

    async def start(self) -> None:
        """Open both ports, and be known."""
        _, port = await self.listener.listen("127.0.0.1", 0)
        await self.listener.accept()
        self.url = f"http://127.0.0.1:{port}"
        node = Node("ws://a", f"127.0.0.1:{await self.server.listen('127.0.0.1', 0)}", "c:1", self.machine, "test")
        self.directory.nodes[self.machine] = KnownNode(Incarnation(f"n{self.machine}", 1), node)

    async def close(self) -> None:
        await self.listener.close()
        self.channels.close()
        await self.server.close()

    def push(self, answers: list[node_pb2.PushAnswer], push_id: str = "p", **fields: Any) -> None:
        """Write a push; its answer is appended to `answers`."""
        receivers = fields.pop("receivers")
        push = node_pb2.Push(
            **{"event": "e", "data": b"1", "push_id": push_id, "ttl_ms": 60_000, "max_deliveries": 9} | fields,
            receivers=receivers,
        )
        self.writer.add(push, self.writer.receivers(receivers), 0, answers.append, None)
        self.writer.write()


@asynccontextmanager
async def engine_nodes(count: int = 1) -> AsyncIterator[list[EngineNode]]:
    """Nodes of one cluster; their clients must be closed first."""
    directory = Directory()
    async with AsyncExitStack() as stack:
        nodes = []
        for machine in range(1, count + 1):
            rig = await stack.enter_async_context(gateway_rig())

            nodes.append(EngineNode(rig, machine, directory))
            await nodes[-1].start()
        try:
            yield nodes
        finally:
            for node in nodes:
                await node.close()


def _watch(rig: GatewayRig, upload: Any, seconds: float) -> None:
    rig.deadlines.schedule_after(lambda _now: upload.on_deadline(), seconds)


class Polling:
    """A client's long-polling, request by request; each may go to another node."""

    def __init__(self, http: aiohttp.ClientSession, url: str, path: str = "/socket.io/", **query: str) -> None:
        self.http = http
        self.url = url
        self.path = path
        self.query = {"EIO": "4", "transport": "polling"} | query
        self.sid = ""

    async def request(
        self, method: str, url: str = "", body: str | bytes | None = None, **more: Any
    ) -> tuple[int, str]:
        async with self.http.request(
            method, (url or self.url) + self.path, params=self.query, data=body, **more
        ) as answer:
            return answer.status, await answer.text()

    async def open(self) -> dict[str, Any]:
        status, body = await self.request("GET")
        assert (status, body[:1]) == (200, "0"), body
        facts: dict[str, Any] = json.loads(body[1:])
        self.sid = self.query["sid"] = facts["sid"]
        return facts

    async def poll(self, url: str = "") -> list[str]:
        status, body = await self.request("GET", url)
        assert status == 200, body
        return body.split("\x1e")

    async def post(self, *packets: str, url: str = "") -> None:
        assert await self.request("POST", url, "\x1e".join(packets)) == (200, "ok")

    async def connect(self, auth: str = '{"token":"ada doc"}', namespace: str = "") -> str:
        """The session id."""
        await self.post(f"40{namespace}{auth}")
        (answer,) = await self.poll()
        return str(json.loads(answer[answer.index("{") :])["sid"])

    def websocket(self, url: str = "") -> websockets.connect:
        """Its WebSocket, there or elsewhere."""
        address = (url or self.url).replace("http", "ws", 1) + self.path
        sid = f"&sid={self.sid}" if self.sid else ""
        return websockets.connect(f"{address}?EIO=4&transport=websocket{sid}", ping_interval=None, proxy=None)


async def until(condition: Any, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
