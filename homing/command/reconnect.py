"""When a client may come back, by close code: the table and the back-off of the protocol. No clock, no dice here."""

from typing import NamedTuple

FLOOR = 0.5  # seconds
CEILING = 30.0  # seconds
STEADY = 30.0  # seconds up after which the attempts count from nought again


class ReconnectDecision(NamedTuple):
    """Whether to come back, after at least how many seconds, and why in words."""

    again: bool
    at_least: float
    why: str


DONE = ReconnectDecision(False, 0.0, "done")
VERDICTS = {
    1000: DONE,
    1001: DONE,
    1011: ReconnectDecision(True, 0.0, "the gateway had a fault"),
    1012: ReconnectDecision(True, 0.0, "the gateway is draining"),
    1013: ReconnectDecision(True, 5.0, "the gateway is full"),
    4401: ReconnectDecision(True, 0.0, "the token is missing, bad or over"),
    4403: ReconnectDecision(False, 0.0, "removed, or not allowed"),
    4408: ReconnectDecision(True, 0.0, "timed out"),
    4409: ReconnectDecision(False, 0.0, "replaced by a newer connection"),
    4429: ReconnectDecision(True, 5.0, "too much in too short a time"),
}
LOST = ReconnectDecision(True, 0.0, "the connection was lost")
REFUSED_FOR_GOOD = ReconnectDecision(False, 0.0, "the gateway will not have this client")


def after_close(code: int | None) -> ReconnectDecision:
    """What a close code asks of the client; None or 1006: the connection ended without one."""
    if code is None or code == 1006:
        return LOST
    return VERDICTS.get(code, REFUSED_FOR_GOOD)


def after_refusal(status: int) -> ReconnectDecision:
    """The same for a handshake that was answered with an HTTP status."""
    if status == 401:
        return VERDICTS[4401]
    return ReconnectDecision(True, 5.0, "the gateway takes nobody now") if status in (429, 503) else REFUSED_FOR_GOOD


class ReconnectBackoff:
    """random(0, min(30 s, 0.5 s * 2^n)); n starts again after 30 s up."""

    def __init__(self) -> None:
        self._attempts = 0

    def lost(self, seconds_up: float) -> None:
        """A connection that had been up for so long is gone."""
        if seconds_up >= STEADY:
            self._attempts = 0

    def next_delay(self, dice: float, at_least: float = 0.0) -> float:
        """Seconds to wait before the next attempt; `dice` is a random number in [0, 1)."""
        ceiling = min(CEILING, FLOOR * 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        return at_least + dice * ceiling
