"""Shell: what every event bus does alike: hold records within bounds, write them in order, try again while it is away.

One write is under way at a time, of what has gathered meanwhile, up to `[events] batch`: that keeps the order of every
key. Writes begin at least `[events] gather` apart: the first event of a quiet time leaves at once, and under load a
write, which costs a client library some 200 us whatever is in it, carries several. A write whose answer was lost is
tried again, so a record may arrive twice; consumers detect that by `X-Seq`.
"""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod

from observability.counters import Counters
from runtime.events.buffer import Buffer
from runtime.events.port import EventSettings, Record

log = logging.getLogger(__name__)

CLOSE_WITHIN = 2.0  # seconds
LONGEST_PAUSE = 2.0  # seconds between two tries


class BufferedSink(ABC):
    """An `EventSink`, but for the bus itself."""

    failures: tuple[type[Exception], ...]
    """What `_write` raises while the bus is away."""

    def __init__(self, bus: str, settings: EventSettings, counters: Counters) -> None:
        """`bus`: its name and address, for people."""
        self._bus_name = bus
        self._settings = settings
        self._counters = counters
        self._buffer = Buffer(settings)
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()  # nothing more will gather
        self._room = asyncio.Event()
        self._room.set()
        self._sender: asyncio.Task[None] | None = None
        self._closing = False
        self._away = False

    @abstractmethod
    async def _write(self, batch: list[Record]) -> None:
        """Write records in order, each key's at least.

        What the bus has taken is handed to `_taken` and leaves the list, also when this raises or is cancelled.
        """

    @abstractmethod
    async def _disconnect(self) -> None:
        """Let go of the connection; what it still holds is given up."""

    def publish(self, record: Record) -> bool:
        if not self._buffer.fits(len(record.value)):
            self._room.clear()
            self._counters.events_refused += 1
            return False
        self.publish_own(record)
        return True

    def publish_own(self, record: Record) -> None:
        self._buffer.add(record)
        self._some.set()

    def held(self) -> int:
        return len(self._buffer)

    def full(self) -> bool:
        return not self._buffer.fits(0)

    async def wait_room(self) -> None:
        await self._room.wait()

    async def run(self) -> None:
        """Send, for ever. Cancelled, it leaves the write under way alone, which `close` waits for."""
        await asyncio.shield(self._start())

    async def close(self) -> None:
        sender = self._start()
        self._closing = True
        self._some.set()
        self._hurry.set()
        await asyncio.wait([sender], timeout=CLOSE_WITHIN)
        sender.cancel()
        await asyncio.wait([sender])
        if held := len(self._buffer):
            text = "client events were not sent: %s did not take them before the stop"
            log.error(text, self._bus_name, extra={"events": held})
        await self._disconnect()

    def _start(self) -> "asyncio.Task[None]":
        self._sender = self._sender or asyncio.create_task(self._send_all())
        return self._sender

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._buffer.waiting or not self._closing:
            await self._some.wait()
            began = loop.time()
            await self._send_next()
            await self._let_gather(began + self._settings.gather - loop.time())
            if not self._buffer.waiting and not self._closing:
                self._some.clear()

    async def _let_gather(self, seconds: float) -> None:
        if seconds > 0 and not self._closing and self._buffer.waiting < self._settings.batch:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurry.wait()

    async def _send_next(self) -> None:
        """Send one batch. Cancelled in between, what the bus has not taken goes back to the head of the line."""
        batch = self._buffer.take(self._settings.batch)
        pause = 0.0
        try:
            while batch:
                try:
                    await self._write(batch)
                except self.failures as error:
                    self._log_away(error)
                    pause = min(LONGEST_PAUSE, pause * 2 or 0.05)
                    await asyncio.sleep(pause)
        finally:
            self._buffer.give_back(batch)

    def _taken(self, records: list[Record]) -> None:
        """The bus has these."""
        self._log_back()
        self._let_go(records)
        self._counters.events_published += len(records)
        for record in records:
            if record.on_taken is not None:
                record.on_taken()

    def _let_go(self, records: list[Record]) -> None:
        self._buffer.done(records)
        self._room.set()

    def _log_away(self, why: object) -> None:
        """Once, until it is back."""
        if not self._away:
            log.warning("%s is away, client events wait: %s", self._bus_name, str(why) or type(why).__name__)
        self._away = True

    def _log_back(self) -> None:
        if self._away:
            log.info("%s is back", self._bus_name)
        self._away = False
