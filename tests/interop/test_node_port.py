"""The node port is plain gRPC: grpcio drives a gateway's from another process, our client a server of grpcio's."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from homing.internal.v1 import node_pb2, node_pb2_grpc
from runtime.grpc_wire.call import Call
from runtime.grpc_wire.client import dial
from runtime.grpc_wire.flow import Http2Limits
from runtime.grpc_wire.status import (
    CANCELLED,
    INVALID_ARGUMENT,
    OK,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    StreamEnded,
)
from tests.support.cluster import Cluster, connect

DRIVER = Path(__file__).parent / "drivers" / "node_port.py"
ROOT = Path(__file__).resolve().parents[2]
PATH = "/homing.internal.v1.Node/Stream"
LARGE = 60 * 1024 * 1024


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["sync", "aio"])
async def test_grpcio_drives_a_gateway_s_node_port(kind: str, cluster: Cluster) -> None:
    gateway = await cluster.start_gateway("--node-id", "g0")
    async with connect(cluster, gateway, "ada") as client:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(DRIVER), kind, str(gateway.facts["node"]), "g0", str(gateway.facts["epoch"])),
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        assert process.returncode == 0, error.decode()
        found = json.loads(out)
        assert (await client.receive())["event"] == "e"
    no_hello = ["INVALID_ARGUMENT", "the first message must be hello"]
    assert found["hello"] == "g0"
    assert found["push"] == [[1, "DONE", 1]]
    assert found["large"] == [[2, "NOT_MINE", 0]]
    assert [one[:2] for one in found["rest"]] == [[3, "DONE"]]
    assert found["end"] == "OK"
    assert found["no hello"] == found["nothing"] == no_hello
    assert found["other incarnation"][0] == "FAILED_PRECONDITION"
    assert found["deadline"][0] == "DEADLINE_EXCEEDED"
    assert found["method"] == ["UNIMPLEMENTED", "no such method"]


class RecordingHandler:
    """Hears a stream of ours."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[node_pb2.NodeMessage] = asyncio.Queue()
        self.end: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()
        self.became_writable = asyncio.Event()

    def on_message(self, message: bytes) -> None:
        self.messages.put_nowait(node_pb2.NodeMessage.FromString(message))

    def on_writable(self) -> None:
        self.became_writable.set()

    def on_half_close(self) -> None:
        raise AssertionError("a server ends with a status")

    def on_end(self, how: StreamEnded) -> None:
        self.end.set_result(how)


class Node(node_pb2_grpc.NodeServicer):
    """A grpcio server that does what each ping's number says."""

    async def Stream(self, request_iterator, context) -> None:
        async for message in request_iterator:
            if message.ping == 1:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no, \u00fcber 100 %")
            if message.ping == 2:
                return
            large = node_pb2.NodeHello(node="x" * LARGE) if message.ping == 3 else None
            await context.write(node_pb2.NodeMessage(pong=message.ping, hello=large))


@pytest.fixture
async def node() -> AsyncIterator[tuple[str, grpc.aio.Server]]:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    node_pb2_grpc.add_NodeServicer_to_server(Node(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", server
    await server.stop(0)


async def open_stream(
    address: str, path: str = PATH, limits: Http2Limits | None = None
) -> tuple[Call, RecordingHandler]:
    ear = RecordingHandler()
    return await dial(address, path, ear, limits), ear


def ping(number: int, data: bytes = b"") -> bytes:
    return node_pb2.RouterMessage(ping=number, pushes=[node_pb2.Push(data=data)]).SerializeToString()


async def test_our_client_and_a_server_of_grpcio(node: tuple[str, grpc.aio.Server]) -> None:
    call, ear = await open_stream(node[0])
    for number in range(10, 200):
        call.send(ping(number))
    assert [(await ear.messages.get()).pong for _ in range(10, 200)] == list(range(10, 200))
    call.send(ping(4, b"x" * LARGE))
    assert not call.writable
    assert (await ear.messages.get()).pong == 4
    await ear.became_writable.wait()
    call.send(ping(3))
    assert len((await ear.messages.get()).hello.node) == LARGE
    call.half_close()
    assert (await ear.end).status == OK


async def test_how_a_server_of_grpcio_ends_a_stream(node: tuple[str, grpc.aio.Server]) -> None:
    address, server = node
    refused, ear = await open_stream(address)
    refused.send(ping(1))
    how = await ear.end
    assert (how.status, how.message) == (INVALID_ARGUMENT, "no, \u00fcber 100 %")
    returned, ear = await open_stream(address)
    returned.send(ping(2))
    assert (await ear.end).status == OK
    _, ear = await open_stream(address, "/x.Y/Z")
    assert (await ear.end).status == UNIMPLEMENTED
    _, ear = await open_stream(address)
    await server.stop(0)
    # Grpcio cancels the stream or cuts the connection, whichever comes first.
    assert (await ear.end).status in (UNAVAILABLE, CANCELLED)
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await open_stream(address)


async def test_a_message_above_our_limit_ends_the_stream(node: tuple[str, grpc.aio.Server]) -> None:
    call, ear = await open_stream(node[0], limits=Http2Limits(max_message_size=LARGE - 1))
    call.send(ping(3))
    assert (await ear.end).status == RESOURCE_EXHAUSTED
