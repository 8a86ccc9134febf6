"""Drives python-socketio's asyncio client: the same options, commands and events as driver.mjs."""

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import socketio

REASONS = {
    "server disconnect": "io server disconnect",
    "client disconnect": "io client disconnect",
}  # as socket.io-client's


def as_base64(raw: bytes) -> dict[str, str]:
    return {"$binary": base64.b64encode(raw).decode()}


def as_bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$binary"]) if "$binary" in value else value


def tell(**event: Any) -> None:
    print(json.dumps(event, default=as_base64), flush=True)


def listen(client: socketio.AsyncClient, namespace: str, acks: "dict[int, asyncio.Future[Any]]") -> None:
    """Tell what happens in a namespace.

    An event's ack is what its handler returns, once a command gives it; whether one is wanted, a handler is not told.
    """

    async def tell_connected() -> None:
        while not client.connected:  # the library calls its handler before it believes so itself
            await asyncio.sleep(0.01)
        if client.transport() == "websocket":
            tell(event="upgrade", transport="websocket")
        tell(event="connect", namespace=namespace, sid=client.get_sid(namespace))

    def connected() -> None:
        client.start_background_task(tell_connected)

    def refused(error: Any) -> None:
        error = error if isinstance(error, dict) else {"message": str(error)}
        tell(event="connect_error", namespace=namespace, message=error.get("message"), data=error.get("data"))

    def disconnected(reason: str) -> None:
        active = reason not in (client.reason.CLIENT_DISCONNECT, client.reason.SERVER_DISCONNECT)
        tell(event="disconnect", namespace=namespace, reason=REASONS.get(reason, reason), active=active)

    async def received(name: str, *args: Any) -> Any:
        number = len(acks) + 1
        acks[number] = asyncio.get_running_loop().create_future()
        tell(event="received", namespace=namespace, name=name, args=args, ack=number)
        return tuple(await acks[number])

    client.on("connect", connected, namespace=namespace)
    client.on("connect_error", refused, namespace=namespace)
    client.on("disconnect", disconnected, namespace=namespace)
    client.on("*", received, namespace=namespace)


def acked(id: int) -> Callable[..., None]:
    return lambda *args: tell(event="acked", id=id, args=args)


async def obey(client: socketio.AsyncClient, acks: "dict[int, asyncio.Future[Any]]") -> None:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        match json.loads(line, object_hook=as_bytes):
            case {"command": "emit", "id": id, "name": name, "args": args, "ack": ack, "namespace": namespace}:
                await client.emit(name, tuple(args), namespace, acked(id) if ack else None)
            case {"command": "ack", "ack": number, "args": args}:
                acks[number].set_result(args)
            case {"command": "disconnect"}:  # of all namespaces: the library has no other way out
                await client.disconnect()


async def main() -> None:
    options = json.loads(sys.argv[1])
    client = socketio.AsyncClient(
        serializer=options["parser"],
        reconnection_delay=options["reconnectionDelay"] / 1000,
    )
    acks: dict[int, asyncio.Future[Any]] = {}
    for namespace in options["namespaces"]:
        listen(client, namespace, acks)
    with contextlib.suppress(socketio.exceptions.ConnectionError):  # `connect_error` says why
        await client.connect(
            options["url"], auth=options["auth"], transports=options["transports"], namespaces=options["namespaces"]
        )
    await obey(client, acks)


asyncio.run(main())
