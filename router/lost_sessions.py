"""Shell: publishes the disconnects of sessions whose gateway is lost (docs/records.md, "Events").

A gateway publishes its own sessions' disconnects. Those of a gateway that was killed are published by the router that
sweeps its keys, when it does so. The bus is opened when it is first needed, since most routers never need it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from observability.counters import Counters
from registry.model import SessionRoute
from runtime.bus.port import BusUnavailable
from runtime.events.port import EventSink, Record

log = logging.getLogger(__name__)

REASON = "1006 node_lost"  # the connection ended without a close frame
RETRY = 1.0  # seconds between two attempts to open the bus


class LostSessions:
    """The disconnect records of lost sessions."""

    def __init__(self, make_sink: Callable[[], EventSink], counters: Counters) -> None:
        """`make_sink`: an idle sink."""
        self._counters = counters
        self._make_sink = make_sink
        self._sink: EventSink | None = None
        self._sending: asyncio.Task[None] | None = None

    async def publish(self, sessions: Sequence[SessionRoute]) -> None:
        """Publish one disconnect for each; returns when the bus has them, however long it is away."""
        if not sessions:
            return
        sink = await self._open()
        taken = asyncio.Event()
        for number, route in enumerate(sessions, 1):
            sink.publish_own(_record(route, taken.set if number == len(sessions) else None))
        await taken.wait()
        self._counters.sessions_lost += len(sessions)

    async def close(self) -> None:
        """Let go of the bus."""
        if self._sink is not None and self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
            await self._sink.close()

    async def _open(self) -> EventSink:
        while self._sink is None:
            sink = self._make_sink()
            try:
                await sink.open()
            except BusUnavailable as error:
                log.warning("disconnects of lost sessions wait: %s", error)
                await sink.close()
                await asyncio.sleep(RETRY)
                continue
            self._sink, self._sending = sink, asyncio.get_running_loop().create_task(sink.run())
        return self._sink


def _record(route: SessionRoute, on_taken: Callable[[], None] | None) -> Record:
    headers = {
        "X-ID": str(route.sid),
        "X-Uid": route.user,
        "X-Event": "disconnect",
        "X-Auth-Type": route.info.auth_type,
        "X-Namespace": route.info.namespace,
        "X-Reason": REASON,
    }
    return Record(route.user, headers, b"", on_taken)
