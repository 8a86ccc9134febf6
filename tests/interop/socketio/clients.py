"""The Socket.IO clients that the tests drive, and what a test says to one."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tests.interop.socketio.driven import FOLDER, Driven, driven, pack

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


class Kind(NamedTuple):
    """One client, as a user has it: a library, the transports that it may use, the parser."""

    library: str  # the name of its package
    transports: str  # a key of TRANSPORTS
    parser: str = "default"

    def __str__(self) -> str:
        return f"{self.library}-{self.transports}-{self.parser}"

    @property
    def in_python(self) -> bool:
        return self.library == "python-socketio"

    @property
    def command(self) -> tuple[str, ...]:
        if self.in_python:
            return (sys.executable, str(FOLDER / "driver.py"))
        return ("node", str(FOLDER / "driver.mjs"))


class Client:
    """A driven client; its events carry the namespace that they belong to."""

    def __init__(self, driven: Driven, kind: Kind, namespace: str) -> None:
        self.driven = driven
        self.kind = kind
        self.namespace = namespace

    async def next(self, event: str, within: float = 15.0, **wanted: Any) -> dict[str, Any]:
        return await self.driven.next(event, within, namespace=self.namespace, **wanted)

    async def connected(self) -> str:
        """Wait until the client is connected, by the transport it was to end up with; the answer is its id."""
        sid = str((await self.next("connect"))["sid"])
        if self.kind.transports == "upgrade":
            await self.driven.next("upgrade", transport="websocket")
        return sid

    async def emit(self, name: str, *args: Any, ack: bool = False) -> int:
        return await self.driven.send("emit", namespace=self.namespace, name=name, args=args, ack=ack)

    async def call(self, name: str, *args: Any) -> list[Any]:
        """Emit, and wait for the ack's arguments."""
        return await self.acked(await self.emit(name, *args, ack=True))

    async def acked(self, id: int) -> list[Any]:
        return list((await self.driven.next("acked", id=id))["args"])

    async def received(self, name: str) -> dict[str, Any]:
        """The next event that came down, which has this name."""
        event = await self.next("received")
        assert event["name"] == name, event
        return event

    async def ack(self, event: dict[str, Any], *args: Any) -> None:
        await self.driven.send("ack", namespace=self.namespace, ack=event["ack"], args=args)

    async def disconnect(self) -> None:
        await self.driven.send("disconnect", namespace=self.namespace)


@asynccontextmanager
async def opened(
    kind: Kind, url: str, auth: dict[str, Any], namespaces: Sequence[str] = ("/",)
) -> AsyncIterator[list[Client]]:
    """A client for each namespace, over one connection."""
    options = {
        "client": kind.library,
        "url": url,
        "auth": auth,
        "namespaces": namespaces,
        "transports": TRANSPORTS[kind.transports],
        "parser": kind.parser,
        "reconnectionDelay": 200,  # ms
    }
    async with driven(*kind.command, pack(options)) as running:
        yield [Client(running, kind, namespace) for namespace in namespaces]
