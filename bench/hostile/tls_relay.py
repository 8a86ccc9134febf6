"""A relay that speaks TLS for a client which cannot: `python -m bench.hostile.tls_relay HOST:PORT CA_FILE`.

Each connection to its port, which it prints first, is one over TLS to HOST:PORT. A half-close is passed on, as
close_notify and FIN; the other side's end ends both.
"""

import asyncio
import contextlib
import ssl
import sys

READ_BYTES = 65_536


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything that is read, until its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main(address: str, ca: str) -> None:
    """Relay until killed."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=ca)
    running: set[asyncio.Task[None] | None] = set()  # the server itself keeps no hold of them

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        try:
            upstream = await asyncio.open_connection(host, int(port), ssl=context)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, upstream[1]), pump(upstream[0], writer))
        running.discard(asyncio.current_task())

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
