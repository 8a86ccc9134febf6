"""uWebSockets by socketify: `python -m bench.peers.socketify_process asyncio|libuv ...`, see `bench.peers`.

`asyncio` is `App.run()`, the documented way: asyncio's loop polls libuv's, without a pause while there is work, so that
coroutines can run. `libuv` runs libuv's loop alone; handlers can then only be plain functions, as they are here.
`publish` sends to many.
"""

import signal
import sys
from typing import Any

from socketify import App, AppOptions, CompressOptions, OpCode

from bench.peers.server_settings import HOST, MAX_MESSAGE, MESSAGE, ServerSettings, settings_of

TOPIC = "all"
IDLE_TIMEOUT = 960  # seconds, the highest that it takes: no connection is closed during a run
DEFLATE = CompressOptions.SHARED_COMPRESSOR | CompressOptions.SHARED_DECOMPRESSOR  # no memory for each connection


def subscribe(connection: Any) -> None:  # noqa: ANN401 - socketify has no types
    """A new connection."""
    connection.subscribe(TOPIC)


def listen(settings: ServerSettings) -> Any:  # noqa: ANN401
    """The application, which listens."""
    options = AppOptions(cert_file_name=settings.cert, key_file_name=settings.key) if settings.cert else None
    app = App(options)

    def answer(connection: Any, message: str, code: OpCode) -> None:  # noqa: ANN401
        if len(message) > 1:
            connection.send(message, code, settings.deflate)
        else:
            app.publish(TOPIC, MESSAGE, OpCode.TEXT)

    behavior = {
        "open": subscribe,
        "message": answer,
        "compression": DEFLATE if settings.deflate else CompressOptions.DISABLED,
        "max_payload_length": MAX_MESSAGE,
        "max_backpressure": MAX_MESSAGE,
        "idle_timeout": IDLE_TIMEOUT,
    }
    app.ws("/", behavior)
    app.listen({"port": 0, "host": HOST}, lambda listening: print(listening.port, flush=True))
    return app


if __name__ == "__main__":
    loop, *arguments = sys.argv[1:]
    application = listen(settings_of(arguments))
    if loop == "libuv":
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        application.loop.uv_loop.run()
    else:
        application.run()
