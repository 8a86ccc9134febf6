"""The server of `websockets`, on uvloop: `python -m bench.peers.websockets_process`, see `bench.peers`.

Its defaults, a keepalive task for each connection among them; `broadcast` sends to many.
"""

from contextlib import suppress

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from bench.peers.server_settings import BACKLOG, HOST, MAX_MESSAGE, MESSAGE, ServerSettings, command_line_settings


async def handle(connection: ServerConnection) -> None:
    """One connection, until it is closed."""
    with suppress(ConnectionClosed):  # the clients' process ends without close frames
        async for message in connection:
            if len(message) > 1:
                await connection.send(message)
            else:
                broadcast(connection.server.connections, MESSAGE)


async def serve_all(settings: ServerSettings) -> None:
    """Serve until killed."""
    compression = "deflate" if settings.deflate else None
    server = await serve(
        handle, HOST, 0, ssl=settings.tls(), compression=compression, max_size=MAX_MESSAGE, backlog=BACKLOG
    )
    print(next(iter(server.sockets)).getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve_all(command_line_settings()))
