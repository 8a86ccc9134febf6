"""The bus' in-memory twin: the same contract with no server, for tests of what is built on it."""

import asyncio
from collections.abc import Callable

from runtime.bus.port import BusAway, TooLarge


class MemoryBus:
    """One channel. Tests turn its switches: `go_away`, `come_back`, `stall`, and `lose` for one message."""

    def __init__(self, largest: int = 1 << 20) -> None:
        self.published: list[bytes] = []
        self.lose = 0  # so many of the next messages are taken and reach nobody
        self._largest = largest
        self._subscribers: set[MemorySubscriber] = set()
        self._here = asyncio.Event()
        self._here.set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def here(self) -> bool:
        """Whether the bus answers."""
        return self._here.is_set()

    def go_away(self) -> None:
        """Nothing is taken, and nobody hears anything, until `come_back`."""
        self._here.clear()

    def come_back(self) -> None:
        self._here.set()

    def stall(self, stalled: bool) -> None:
        """While stalled a publish takes for ever, as on a full network."""
        if stalled:
            self._flowing.clear()
        else:
            self._flowing.set()

    def publisher(self) -> "MemoryPublisher":
        """A router's end."""
        return MemoryPublisher(self)

    def subscriber(self) -> "MemorySubscriber":
        """A gateway's end."""
        return MemorySubscriber(self)

    def join(self, subscriber: "MemorySubscriber") -> None:
        """From now on this end hears."""
        self._subscribers.add(subscriber)

    def leave(self, subscriber: "MemorySubscriber") -> None:
        self._subscribers.discard(subscriber)

    async def take(self, message: bytes) -> None:
        """What `publish` does."""
        if len(message) > self._largest:
            raise TooLarge(f"the bus takes at most {self._largest} bytes, this message has {len(message)}")
        await asyncio.sleep(0)  # as every real one, it takes at least a turn of the loop
        await self._flowing.wait()
        if not self.here:
            raise BusAway("the bus in memory was told to be away")
        self.published.append(message)
        if self.lose:
            self.lose -= 1
            return
        for subscriber in self._subscribers:
            subscriber.reach(message)


class MemoryPublisher:
    """A `Publisher` over a MemoryBus."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def open(self) -> None:
        if not self._bus.here:
            raise BusAway("the bus in memory was told to be away")

    async def publish(self, message: bytes) -> None:
        await self._bus.take(message)

    async def close(self) -> None:
        """Nothing to let go of."""


class MemorySubscriber:
    """A `Subscriber` over a MemoryBus."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def open(self) -> None:
        if not self._bus.here:
            raise BusAway("the bus in memory was told to be away")
        self._bus.join(self)

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        while True:
            on_message(await self._heard.get())

    async def close(self) -> None:
        self._bus.leave(self)

    def reach(self, message: bytes) -> None:
        """A message has come."""
        self._heard.put_nowait(message)
