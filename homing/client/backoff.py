"""Which router to try next, and after which delay: addresses in turn, exponential back-off with jitter per round."""

import random
from collections.abc import Callable, Sequence

BASE_DELAY = 0.05  # seconds
MAX_DELAY = 5.0  # seconds


class AddressRotation:
    """Router addresses in turn. Reads no clock: `failed` returns the delay before the next attempt."""

    def __init__(self, addresses: Sequence[str], jitter: Callable[[], float] = random.random) -> None:
        """`jitter` returns a random number in [0, 1). ValueError: no address, or an address that is not host:port."""
        if not addresses:
            raise ValueError("name at least one router, host:port")
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal():
                raise ValueError(f"{address!r} is not host:port")
        self.addresses = tuple(addresses)
        self._jitter = jitter
        self._index = 0
        self._failures = 0  # in a row

    @property
    def address(self) -> str:
        """The address in use."""
        return self.addresses[self._index]

    def succeeded(self) -> None:
        """Record that the address in use answered: the back-off starts again from zero."""
        self._failures = 0

    def failed(self) -> float:
        """Move on to the next address. Returns the delay before it may be tried, in seconds; 0 within the first
        round."""
        self._index = (self._index + 1) % len(self.addresses)
        self._failures += 1
        if self._failures < len(self.addresses):
            return 0.0
        rounds = self._failures // len(self.addresses)
        return BASE_DELAY + self._jitter() * min(MAX_DELAY, BASE_DELAY * 2.0 ** min(rounds, 10))
