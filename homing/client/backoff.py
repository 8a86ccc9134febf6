"""Which router to try next, and after which delay: addresses in turn, exponential back-off with jitter per round."""

import random
from collections.abc import Callable, Sequence

from homing.client.addresses import hint, is_peer

BASE_DELAY = 0.05  # seconds
MAX_DELAY = 5.0  # seconds


def check_address(address: str) -> None:
    """TypeError, ValueError: not host:port, as in gw.example:8500, 10.0.0.1:8500 and [::1]:8500."""
    if not isinstance(address, str):
        raise TypeError(f"a router's address must be str, host:port, not {type(address).__name__}: {address!r}")
    if not is_peer(address):
        raise ValueError(f"{address!r} is no router's address, host:port; {hint(address, 'gw.example:8500')}")


class AddressRotation:
    """Router addresses in turn. Reads no clock: `failed` returns the delay before the next attempt."""

    def __init__(self, addresses: Sequence[str], jitter: Callable[[], float] = random.random) -> None:
        """`jitter` returns a random number in [0, 1). ValueError: no address, or an address that is not host:port."""
        if not addresses:
            raise ValueError("name at least one router, host:port")
        for address in addresses:
            check_address(address)
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
