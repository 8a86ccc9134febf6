"""Drives a WebSocket client of Python: `websockets` or `aiohttp`. The same commands and events as driver.mjs."""

import asyncio
import base64
import json
import sys
from typing import Any

import aiohttp
import websockets


def tell(**event: Any) -> None:
    print(json.dumps(event), flush=True)


def tell_message(data: str | bytes) -> None:
    raw = data.encode() if isinstance(data, str) else data
    tell(event="message", binary=isinstance(data, bytes), data=base64.b64encode(raw).decode())


async def commands() -> Any:
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        yield command["command"], base64.b64decode(command.get("data", "")), command.get("code", 1000)


async def drive_websockets(url: str, protocols: list[str]) -> None:
    subprotocols = [websockets.Subprotocol(name) for name in protocols] or None
    async with websockets.connect(url, subprotocols=subprotocols) as socket:
        extensions = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        tell(event="open", protocol=socket.subprotocol or "", extensions=extensions)

        async def obey() -> None:
            async for command, data, code in commands():
                if command == "ping":
                    await (await socket.ping(data))
                    tell(event="pong", data=base64.b64encode(data).decode())
                elif command == "close":
                    await socket.close(code)
                else:
                    await socket.send(data.decode() if command == "text" else data)

        obeying = asyncio.ensure_future(obey())
        try:
            async for message in socket:
                tell_message(message)
        except websockets.ConnectionClosed:
            pass
        finally:
            obeying.cancel()
    tell(event="close", code=socket.close_code, reason=socket.close_reason)


async def drive_aiohttp(url: str, protocols: list[str]) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=protocols, autoping=False, autoclose=False, max_msg_size=0) as socket,
    ):
        tell(event="open", protocol=socket.protocol or "")

        async def obey() -> None:
            async for command, data, code in commands():
                if command == "ping":
                    await socket.ping(data)
                elif command == "close":
                    await socket.close(code=code)
                elif command == "text":
                    await socket.send_str(data.decode())
                else:
                    await socket.send_bytes(data)

        obeying = asyncio.ensure_future(obey())
        reason = ""
        while (message := await socket.receive()).type not in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                tell_message(message.data)
            elif message.type is aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.PONG:
                tell(event="pong", data=base64.b64encode(message.data).decode())
            elif message.type is aiohttp.WSMsgType.CLOSE:
                reason = str(message.extra)
                break
        obeying.cancel()
    tell(event="close", code=socket.close_code, reason=reason)


if __name__ == "__main__":
    kind, url, *protocols = sys.argv[1:]
    asyncio.run({"websockets": drive_websockets, "aiohttp": drive_aiohttp}[kind](url, protocols))
