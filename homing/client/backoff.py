"""Which router to try, and when: several addresses in turn, with a growing, random pause after each full round."""

import random
from collections.abc import Callable, Sequence

FLOOR = 0.05  # seconds
CEILING = 5.0  # seconds


class AddressRotation:
    """The addresses in turn. No clock: `failed` says how long to wait before the next attempt."""

    def __init__(self, addresses: Sequence[str], dice: Callable[[], float] = random.random) -> None:
        """ValueError: no address, or one that is not host:port."""
        if not addresses:
            raise ValueError("name at least one router, host:port")
        for address in addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal():
                raise ValueError(f"{address!r} is not host:port")
        self.addresses = tuple(addresses)
        self._dice = dice
        self._at = 0
        self._failures = 0

    @property
    def address(self) -> str:
        """The address to use now."""
        return self.addresses[self._at]

    def worked(self) -> None:
        """The address answered."""
        self._failures = 0

    def failed(self) -> float:
        """It did not: go on to the next. Seconds to wait first; 0 while there are others not tried yet."""
        self._at = (self._at + 1) % len(self.addresses)
        self._failures += 1
        if self._failures < len(self.addresses):
            return 0.0
        rounds = self._failures // len(self.addresses)
        return FLOOR + self._dice() * min(CEILING, FLOOR * 2.0 ** min(rounds, 10))
