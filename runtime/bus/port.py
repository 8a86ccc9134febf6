"""The broadcast channel's two ends: the contract (design §6)."""

from collections.abc import Callable
from typing import Protocol

LARGEST = 16 * 1024 * 1024  # bytes of one message; what is larger is none of ours


class Publisher(Protocol):
    """A router's end. Messages of one publisher reach every subscriber in the order in which they were published.

    At most once: a message that the bus did not take is lost, and `publish` has said so by raising.
    """

    async def open(self) -> None:
        """Connect. Raises BusAway when the bus does not answer."""
        ...

    async def publish(self, message: bytes) -> None:
        """Until the bus has it. One call at a time.

        Raises BusAway: it may or may not have it; TooLarge: it takes no message of this size, and has not got it.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


class Subscriber(Protocol):
    """A gateway's end: hears what is published from now on."""

    async def open(self) -> None:
        """Connect; `run` will hear everything that is published after this returns. Raises BusAway."""
        ...

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        """Hear messages, for ever. While the bus is away it tries again; what was published meanwhile may be lost."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


class BusAway(Exception):
    """The bus does not answer; the message names it, and says how one is started."""


class TooLarge(Exception):
    """The bus takes no message of this size; the message names the limit and whose it is."""
