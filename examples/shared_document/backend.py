"""The backend of a shared document: every edit of a client is pushed to all clients that have joined the file.

The backend reads the clients' events from the Redis Stream of the gateways, and pushes through the router:

* `edit` is pushed to the file. The push's report is awaited before the same file's next push, so all viewers get
  all edits in one order: the order of the stream.
* `open` is answered with the current text, pushed to that one session, in order with the edits. So a viewer
  that has joined and then sends `open` misses no edit and gets none twice.

Run by run.py; alone: python backend.py --run-dir .homing
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import grpc
import redis.asyncio
from traces import apply

from homing.v1.router_pb2 import Delivery, PushRequest, Target
from homing.v1.router_pb2_grpc import RouterStub

Event = dict[bytes, bytes]  # a record's headers, and `value`
StreamRead = list[tuple[bytes, list[tuple[bytes, Event]]]]  # the response of XREAD
STREAM = "homing.events"
MAX_QUEUED_EVENTS = 10_000  # of one file; with more, reading the stream pauses


class Document:
    """One file: its text, and its events in order, one push at a time."""

    def __init__(self, file: str, router: RouterStub) -> None:
        self.file = file
        self.text = ""
        self.edits = 0
        self.events: asyncio.Queue[Event] = asyncio.Queue(MAX_QUEUED_EVENTS)
        self.outcomes: Counter[str] = Counter()
        self._router = router

    async def run(self) -> None:
        while True:
            await self._handle(await self.events.get())

    async def _handle(self, event: Event) -> None:
        if event[b"X-Name"] == b"open":
            snapshot = json.dumps({"edits": self.edits, "text": self.text}).encode()
            await self._push(Target(session=int(event[b"X-ID"])), "snapshot", snapshot)
        else:
            self.text = apply(self.text, json.loads(event[b"value"]))
            self.edits += 1
            await self._push_edit(event)

    async def _push_edit(self, event: Event) -> None:
        await self._push(Target(file=self.file), "edit", event[b"value"])

    async def _push(self, target: Target, event: str, data: bytes) -> None:
        push_id = f"{random.getrandbits(64):016x}"
        # max_deliveries 0: the counts are enough.
        request = PushRequest(target=target, event=event, data=data, push_id=push_id, max_deliveries=0)
        response = await self._router.Push(request)
        self.outcomes.update(response.report.counts)
        if response.report.counts.get(Delivery.Outcome.Name(Delivery.UNREACHABLE)):
            print(f"push {push_id}: a gateway did not response", file=sys.stderr)


async def follow(stream: redis.asyncio.Redis) -> AsyncIterator[Event]:
    """All later client events, without an end."""
    newest: dict[bytes, int] = {}  # X-Seq by session: a gateway may write a record twice
    response = await stream.xinfo_stream(STREAM) if await stream.exists(STREAM) else {"last-generated-id": b"0"}
    position = response["last-generated-id"]
    print(json.dumps({"ready": "backend"}), flush=True)
    while True:
        for _, records in cast("StreamRead", await stream.xread({STREAM: position}, count=500, block=1000)):
            for _, event in records:
                if int(event.get(b"X-Seq", -1)) > newest.get(event[b"X-ID"], -1):
                    newest[event[b"X-ID"]] = int(event[b"X-Seq"])
                    yield event
            position = records[-1][0]


async def serve(cluster: dict[str, Any], new_document: Callable[[str, RouterStub], Document] = Document) -> None:
    """Handle the clients' events, without an end."""
    documents: dict[str, Document] = {}
    async with (
        grpc.aio.insecure_channel(cluster["routers"][0]["grpc"]) as channel,
        redis.asyncio.Redis.from_url(cluster["redis"]) as stream,
        asyncio.TaskGroup() as tasks,
    ):
        router = RouterStub(channel)  # type: ignore[no-untyped-call]
        async for event in follow(stream):
            if event.get(b"X-Name") in (b"edit", b"open"):
                file = event[b"X-Guid"].decode()
                if file not in documents:
                    documents[file] = new_document(file, router)
                    tasks.create_task(documents[file].run())
                await documents[file].events.put(event)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--run-dir", type=Path, default=Path(".homing"))
    cluster = json.loads((arguments.parse_args().run_dir / "cluster.json").read_text())
    run(serve(cluster))


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Serve; exit with a message when the router or Redis fails."""
    try:
        asyncio.run(serving)
    except* grpc.aio.AioRpcError as group:
        errors = [error.details() for error in group.exceptions if isinstance(error, grpc.aio.AioRpcError)]
        sys.exit(f"backend: a push failed at the router: {errors}")
    except* redis.RedisError as group:
        sys.exit(f"backend: Redis failed: {group.exceptions[0]}")


if __name__ == "__main__":
    main()
