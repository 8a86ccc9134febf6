"""A router of our own making, on a real grpc.aio server: it records, and answers as a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from homing.v1 import router_pb2 as pb
from homing.v1 import router_pb2_grpc

FencingAnswer = Callable[[pb.PushRequest], "pb.PushReport | Awaitable[pb.PushReport]"]


def written(push: pb.PushRequest) -> pb.PushReport:
    return pb.PushReport(push_id=push.push_id, counts={"WRITTEN": 1}, nodes_contacted=1, owning_nodes=1)


class ScriptedRouter(router_pb2_grpc.RouterServicer):
    """`messages` are the batches as they came, `pushes` what was in them, `calls` the other requests."""

    def __init__(self, answer: FencingAnswer = written) -> None:
        self.answer = answer
        self.messages: list[pb.PushStreamRequest] = []
        self.calls: list[Any] = []
        self.streams = 0
        self.gate = asyncio.Event()  # closed: the router reads nothing more
        self.gate.set()
        self.replies: dict[str, Any] = {}  # by method: a response, or (code, details, trailing metadata)
        self.watched: list[list[pb.WatchResponse]] = []  # a script per Watch stream; after it the stream stays open
        self.address = ""
        self._server: grpc.aio.Server | None = None

    @property
    def pushes(self) -> list[pb.PushRequest]:
        return [push for message in self.messages for push in message.pushes]

    async def start(self, address: str = "127.0.0.1:0") -> "ScriptedRouter":
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        router_pb2_grpc.add_RouterServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(address)
        await self._server.start()
        self.address = f"127.0.0.1:{port}"
        return self

    async def kill(self) -> None:
        """No goodbye: what is under way gets no answer."""
        assert self._server is not None
        await self._server.stop(0)

    async def PushStream(self, requests: AsyncIterator[pb.PushStreamRequest], context: Any) -> Any:
        self.streams += 1
        reports: asyncio.Queue[pb.PushReport] = asyncio.Queue()

        async def one(push: pb.PushRequest) -> None:
            answer = self.answer(push)
            reports.put_nowait(answer if isinstance(answer, pb.PushReport) else await answer)

        async def read(group: asyncio.TaskGroup) -> None:
            async for message in requests:
                self.messages.append(message)
                for push in message.pushes:
                    group.create_task(one(push))
                await self.gate.wait()

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read(group))
            while not reading.done():
                ready = [await reports.get()]
                while not reports.empty():
                    ready.append(reports.get_nowait())
                yield pb.PushStreamResponse(reports=ready)

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
        self.calls.append(request)
        for response in self.watched.pop(0):
            yield response
        await asyncio.Event().wait()

    def _answer_calls(name: str) -> Any:  # type: ignore[misc]
        async def call(self: "ScriptedRouter", request: Any, context: Any) -> Any:
            self.calls.append(request)
            reply = self.replies[name]
            if callable(reply):
                reply = reply(request)
            if isinstance(reply, tuple):
                code, details, trailing = reply
                await context.abort(code, details, trailing_metadata=trailing)
            return reply

        return call

    Locate = _answer_calls("Locate")
    Presence = _answer_calls("Presence")
    Join = _answer_calls("Join")
    Leave = _answer_calls("Leave")
    Disconnect = _answer_calls("Disconnect")
    Reply = _answer_calls("Reply")
