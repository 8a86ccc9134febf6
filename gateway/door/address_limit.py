"""Core: how many connections each client address has (docs/protocol.md, "Limits").

Of IPv6 a network of 64 bits counts as one address: that is what one customer gets, with more addresses than anybody
could count.
"""

import ipaddress


class AddressLimit:
    """One for a node. `limit`: connections for each address; 0: no limit, and nothing is counted."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}  # connections by address, of those that have any

    def has_room(self, address: str) -> bool:
        """Whether one more may come from here; `address` may have a port."""
        return not self._limit or self._open.get(_counted(address), 0) < self._limit

    def enter(self, address: str) -> bool:
        """One has come. False: it is too many, and not counted."""
        if not self.has_room(address):
            return False
        if self._limit:
            counted = _counted(address)
            self._open[counted] = self._open.get(counted, 0) + 1
        return True

    def leave(self, address: str) -> None:
        """One that has entered is gone."""
        if self._limit:
            counted = _counted(address)
            left = self._open.pop(counted) - 1
            if left:
                self._open[counted] = left

    def __len__(self) -> int:
        return len(self._open)


def _counted(address: str) -> str:
    """What counts as one address: without its port, and of IPv6 the network."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        try:
            host = ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
        except ValueError:
            return ""  # the client was gone before its address could be read
    if isinstance(host, ipaddress.IPv4Address):
        return str(host)
    return str(host.ipv4_mapped) if host.ipv4_mapped else str(int(host) >> 64)
