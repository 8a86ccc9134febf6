"""The in-memory twin of the broadcast channel: the same contract without a server, for tests."""

import asyncio
from collections.abc import Callable

from runtime.bus.port import BusMessageTooLarge, BusUnavailable


class MemoryBus:
    """One channel. Tests inject faults: `set_available`, `stall`, `drop_next`."""

    def __init__(self, max_message_size: int = 1 << 20) -> None:
        self.published: list[bytes] = []
        self.drop_next = 0  # so many of the next messages are accepted and reach no subscriber
        self.max_message_size = max_message_size
        self._subscribers: set[MemorySubscriber] = set()
        self._available = True
        self._flowing = asyncio.Event()
        self._flowing.set()

    def set_available(self, available: bool) -> None:
        """While unavailable, the bus accepts nothing."""
        self._available = available

    def stall(self, stalled: bool) -> None:
        """While stalled, `publish` does not return, as on a congested network."""
        if stalled:
            self._flowing.clear()
        else:
            self._flowing.set()

    def publisher(self) -> "MemoryPublisher":
        """A router's side."""
        return MemoryPublisher(self)

    def subscriber(self) -> "MemorySubscriber":
        """A gateway's side."""
        return MemorySubscriber(self)

    def check_available(self) -> None:
        """Raise BusUnavailable while the bus is unavailable."""
        if not self._available:
            raise BusUnavailable("the bus in memory is set to be unavailable")

    def subscribe(self, subscriber: "MemorySubscriber") -> None:
        """Deliver to this subscriber from now on."""
        self._subscribers.add(subscriber)

    def unsubscribe(self, subscriber: "MemorySubscriber") -> None:
        """Deliver no more to this subscriber."""
        self._subscribers.discard(subscriber)

    async def publish(self, message: bytes) -> None:
        """See `Publisher.publish`."""
        if len(message) > self.max_message_size:
            raise BusMessageTooLarge(f"the bus takes at most {self.max_message_size} bytes, not {len(message)}")
        await asyncio.sleep(0)  # as with every real bus: at least one iteration of the loop
        await self._flowing.wait()
        self.check_available()
        self.published.append(message)
        if self.drop_next:
            self.drop_next -= 1
            return
        for subscriber in self._subscribers:
            subscriber.deliver(message)


class MemoryPublisher:
    """A `Publisher` over a MemoryBus."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def open(self) -> None:
        self._bus.check_available()

    async def publish(self, message: bytes) -> None:
        await self._bus.publish(message)

    async def close(self) -> None:
        """Nothing to close."""


class MemorySubscriber:
    """A `Subscriber` over a MemoryBus."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()

    async def open(self) -> None:
        self._bus.check_available()
        self._bus.subscribe(self)

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        while True:
            on_message(await self._messages.get())

    async def close(self) -> None:
        self._bus.unsubscribe(self)

    def deliver(self, message: bytes) -> None:
        """Queue a message for `run`."""
        self._messages.put_nowait(message)
