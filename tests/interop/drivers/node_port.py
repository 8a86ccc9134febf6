"""Drives a gateway's node port with grpcio, as any gRPC client could: `node_port.py sync|aio ADDRESS NODE EPOCH`.

The answer is a JSON object on stdout; the test judges it.
"""

import asyncio
import json
import queue
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from homing.internal.v1 import node_pb2, node_pb2_grpc

LARGE = 60 * 1024 * 1024  # bytes
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 50),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_time_between_pings_ms", 50),
]


def hello(node: str, epoch: int) -> node_pb2.RouterMessage:
    return node_pb2.RouterMessage(
        hello=node_pb2.RouterHello(router="grpcio", node=node, epoch=epoch), sent_ns=time.monotonic_ns()
    )


def push(call: int, epoch: int, user: str, data: bytes = b"{}") -> node_pb2.RouterMessage:
    message = node_pb2.RouterMessage(sent_ns=time.monotonic_ns())
    one = message.pushes.add(call=call, epoch=epoch, event="e", data=data, push_id=f"p{call}", max_deliveries=1)
    one.ttl_ms, one.received_ns = 30_000, message.sent_ns
    one.receivers.user = user
    return message


def answer(message: Any) -> list[Any]:
    return [[one.call, node_pb2.Verdict.Name(one.verdict), len(one.deliveries)] for one in message.pushes]


def drive_sync(address: str, node: str, incarnation: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    epoch = int(incarnation)
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = node_pb2_grpc.NodeStub(channel)
        found["other incarnation"] = ended(lambda: list(stub.Stream(iter([hello(node, epoch + 1)]))))
        said: queue.SimpleQueue[node_pb2.RouterMessage | None] = queue.SimpleQueue()
        stream = stub.Stream(iter(said.get, None))
        said.put(hello(node, epoch))
        found["hello"] = next(stream).hello.node
        said.put(push(1, epoch, "ada"))
        found["push"] = answer(next(stream))
        time.sleep(0.5)  # keepalive pings only
        said.put(push(2, epoch, "nobody", b"x" * LARGE))
        found["large"] = answer(next(stream))
        said.put(push(3, epoch, "ada"))
        said.put(None)  # half-close at once: what was asked is answered still
        found["rest"] = [one for message in stream for one in answer(message)]
        found["end"] = stream.code().name
        found["no hello"] = ended(lambda: list(stub.Stream(iter([node_pb2.RouterMessage(ping=1)]))))
        found["nothing"] = ended(lambda: list(stub.Stream(iter([]))))
        waiting: queue.SimpleQueue[None] = queue.SimpleQueue()
        found["deadline"] = ended(lambda: list(stub.Stream(iter(waiting.get, None), timeout=0.3)))
        waiting.put(None)
        found["method"] = ended(lambda: channel.unary_unary("/homing.internal.v1.Node/Other")(b"x"))
    return found


def ended(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    return ["OK", ""]


async def drive_aio(address: str, node: str, incarnation: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    epoch = int(incarnation)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = node_pb2_grpc.NodeStub(channel)
        first = stub.Stream()
        await first.write(hello(node, epoch + 1))
        found["other incarnation"] = [(await first.code()).name, await first.details()]
        stream = stub.Stream()
        await stream.write(hello(node, epoch))
        found["hello"] = (await stream.read()).hello.node
        await stream.write(push(1, epoch, "ada"))
        found["push"] = answer(await stream.read())
        await asyncio.sleep(0.5)
        await stream.write(push(2, epoch, "nobody", b"x" * LARGE))
        found["large"] = answer(await stream.read())
        await stream.write(push(3, epoch, "ada"))
        await stream.done_writing()
        found["rest"] = []
        while isinstance(message := await stream.read(), node_pb2.NodeMessage):
            found["rest"] += answer(message)
        found["end"] = (await stream.code()).name
        refused = stub.Stream()
        await refused.write(node_pb2.RouterMessage(ping=1))
        found["no hello"] = [(await refused.code()).name, await refused.details()]
        empty = stub.Stream()
        await empty.done_writing()
        found["nothing"] = [(await empty.code()).name, await empty.details()]
        late = stub.Stream(timeout=0.3)
        found["deadline"] = [(await late.code()).name, await late.details()]
        other = channel.unary_unary("/homing.internal.v1.Node/Other")(b"x")
        found["method"] = [(await other.code()).name, await other.details()]
    return found


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    print(json.dumps(drive_sync(*arguments) if kind == "sync" else asyncio.run(drive_aio(*arguments))))
