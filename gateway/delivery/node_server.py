"""Shell: carries the node port over gRPC (grpc.aio)."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc.aio

from gateway.delivery.link import Link
from gateway.delivery.nodeport import NodePort
from homing.internal.v1 import node_pb2, node_pb2_grpc

MAX_MESSAGE = 64 * 1024 * 1024  # bytes; a router's whole queue may be one message
Context: TypeAlias = "grpc.aio.ServicerContext[node_pb2.RouterMessage, node_pb2.NodeMessage]"


class NodeServer(node_pb2_grpc.NodeServicer):
    """The listening server of the node port."""

    def __init__(self, port: NodePort) -> None:
        self._port = port
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.max_send_message_length", MAX_MESSAGE),
            ]
        )
        node_pb2_grpc.add_NodeServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]

    async def listen(self, host: str, port: int) -> int:
        """Open the port (0: a free one); the answer is its number. Raises OSError when it is in use."""
        try:
            number = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(str(error)) from None
        await self._server.start()
        return number

    async def close(self) -> None:
        """End every stream."""
        await self._server.stop(0.2)

    async def Stream(self, request_iterator: AsyncIterator[node_pb2.RouterMessage], context: Context) -> None:
        """One router's stream, until either side ends it."""
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("hello"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be hello")
        assert first is not None
        link = self._port.open(first)
        writer = asyncio.get_running_loop().create_task(self._write(link, context))
        try:
            async for message in request_iterator:
                self._port.read(link, message)
                await link.wait_room()
        finally:
            self._port.close(link)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, link: Link, context: Context) -> None:
        while True:
            await context.write(await link.gathered())
