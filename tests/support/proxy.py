"""A TCP proxy on loopback that cuts or freezes what passes through it, to be a bad network on purpose."""

import asyncio
from contextlib import suppress


class Proxy:
    """`async with Proxy(port) as proxy`: dial `proxy.endpoint` instead."""

    def __init__(self, port: int, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        """`port`: of the server behind it. `listen`: host and port of its own; port 0 takes a free one."""
        self._port = port
        self._listen = listen
        self._flows: set[asyncio.Task[None]] = set()
        self._to_server, self._to_client = asyncio.Event(), asyncio.Event()
        self.thaw()
        self.connections = 0

    @property
    def endpoint(self) -> str:
        port: int = self._server.sockets[0].getsockname()[1]
        return f"{self._listen[0]}:{port}"

    def freeze(self, to_server: bool = True, to_client: bool = True) -> None:
        """From now on accept everything and pass nothing on, as a cut-off machine's network does.

        A direction that is not frozen passes everything on, as a network that drops one way.
        """
        if to_server:
            self._to_server.clear()
        if to_client:
            self._to_client.clear()

    def thaw(self) -> None:
        """Pass on what has gathered, and everything after it."""
        self._to_server.set()
        self._to_client.set()

    def cut(self) -> None:
        """Break every connection that is open now."""
        for flow in self._flows:
            flow.cancel()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._connected, *self._listen)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.thaw()
        self.cut()
        await asyncio.gather(*self._flows, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flow = asyncio.current_task()
        assert flow is not None
        self._flows.add(flow)
        self.connections += 1
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(
                    self._pass(reader, there_writer, self._to_server), self._pass(there_reader, writer, self._to_client)
                )
            finally:
                there_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # a cut is what this is for
        finally:
            writer.transport.abort()
            self._flows.discard(flow)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event) -> None:
        while data := await reader.read(65_536):
            await is_open.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
