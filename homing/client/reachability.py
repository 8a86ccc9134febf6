"""Whether any router can be reached: for how long not, why not; logged once, and once more when one answers.

Logger `homing.client`.
"""

import logging
from collections.abc import Callable, Sequence

log = logging.getLogger("homing.client")

SHORTEST_DELAY = 0.05  # seconds
ATTEMPT = 2.0  # seconds for one address to connect: one that drops packets never refuses


class Reachability:
    """Told of every attempt to reach a router."""

    def __init__(self, addresses: Sequence[str], connect_timeout: float, clock: Callable[[], float]) -> None:
        """`connect_timeout`: seconds that a call waits for any router. `clock`: monotonic seconds."""
        self._addresses = ", ".join(addresses)
        self.connect_timeout = connect_timeout
        self._clock = clock
        self._away_since: float | None = None
        self._reason = ""

    def reached(self, address: str) -> None:
        """A router has answered."""
        if self._away_since is not None:
            log.info("router %s answers", address)
        self._away_since = None

    def failed(self, address: str, reason: str, since: float | None = None) -> None:
        """A router could not be reached. `since`: when the attempt began, in the clock's seconds; None: just now."""
        self._reason = f"{address}: {reason}"
        if self._away_since is None:
            self._away_since = self._clock() if since is None else since
            log.warning("cannot reach router %s (%s); trying %s", address, reason, self._addresses)

    def give_up_at(self, began: float) -> float:
        """When a call that began at `began` has waited long enough, counted from the loss of the last router."""
        return max(began, self._away_since or began) + self.connect_timeout

    @property
    def longest_delay(self) -> float:
        """Seconds between two attempts at most: a call that has just begun meets several of them."""
        return max(SHORTEST_DELAY, self.connect_timeout / 4)

    def attempt_limit(self, began: float) -> float:
        """Seconds for one attempt of such a call."""
        return max(0.05, min(ATTEMPT, self.give_up_at(began) - self._clock()))

    def describe(self) -> str:
        """Why a call is given up, and what to look at."""
        return (
            f"no router answers at {self._addresses} within {self.connect_timeout:g} s ({self._reason}); "
            "is the cluster up (`homing up`), is the address right?"
        )


def last_reason(details: str) -> str:
    """The last part of grpcio's nested error text, on one line: a server has a say in it, and it is logged."""
    shown = "".join(character if character.isprintable() else "?" for character in details)
    reason = shown.rpartition(": ")[2].strip("[] ")
    return (reason.rstrip(")") if reason.count(")") > reason.count("(") else reason) or shown
