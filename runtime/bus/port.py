"""The broadcast channel's contract: a publisher and a subscriber (docs/design.md, "Broadcast mode")."""

from collections.abc import Callable
from typing import Protocol

MAX_MESSAGE_SIZE = 16 * 1024 * 1024  # bytes of one message on the channel


class BusUnavailable(Exception):
    """The bus does not answer. The message names the address, and how a bus is started."""


class BusMessageTooLarge(Exception):
    """The bus accepts no message of this size. The message names the limit, and where it is configured."""


class Publisher(Protocol):
    """A router's side. Messages of one publisher reach every subscriber in the order in which they were published.

    At most once: a message that the bus has not accepted is lost, and `publish` has raised.
    """

    async def open(self) -> None:
        """Connect. Raises BusUnavailable."""
        ...

    async def publish(self, message: bytes) -> None:
        """Until the bus has accepted the message. One call at a time.

        BusUnavailable: the bus may or may not have accepted it. BusMessageTooLarge: the bus has not.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Subscriber(Protocol):
    """A gateway's side: receives what is published from now on."""

    async def open(self) -> None:
        """Subscribe: `run` receives every message that is published after this returns. Raises BusUnavailable."""
        ...

    async def run(self, on_message: Callable[[bytes], None]) -> None:
        """Receive messages, for ever. Reconnects; what was published meanwhile may be lost."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...
