"""Whether and when a client may reconnect: docs/protocol.md, "Close codes" and "Back-off". No clock, no randomness."""

from typing import NamedTuple

BASE_DELAY = 0.5  # seconds
MAX_DELAY = 30.0  # seconds
RESET_AFTER = 30.0  # seconds of connection after which the back-off starts from zero


class ReconnectDecision(NamedTuple):
    """Whether to reconnect, the minimum delay in seconds, and the reason in words."""

    reconnect: bool
    min_delay: float
    reason: str
    token_refused: bool = False


DONE = ReconnectDecision(False, 0.0, "done")
BAD_TOKEN = ReconnectDecision(True, 0.0, "the token is missing, invalid or expired", token_refused=True)
PERMANENTLY_REFUSED = ReconnectDecision(False, 0.0, "the gateway refuses this client")
DECISIONS = {
    1000: DONE,
    1001: DONE,
    **dict.fromkeys((1002, 1003, 1007, 1008, 1009, 4400), PERMANENTLY_REFUSED),
    1011: ReconnectDecision(True, 0.0, "internal error of the gateway"),
    1012: ReconnectDecision(True, 0.0, "the gateway is draining"),
    1013: ReconnectDecision(True, 5.0, "the gateway is full"),
    4401: BAD_TOKEN,
    4403: ReconnectDecision(False, 0.0, "removed, or not permitted"),
    4408: ReconnectDecision(True, 0.0, "timed out"),
    4409: ReconnectDecision(False, 0.0, "replaced by a newer connection"),
    4429: ReconnectDecision(True, 5.0, "rate limit exceeded"),
}
LOST = ReconnectDecision(True, 0.0, "the connection was lost")


def after_close(code: int | None, text: str = "") -> ReconnectDecision:
    """The decision for a close code. None or 1006: the connection ended without a close frame; so does an unknown one.

    `text`: the gateway's own words, shown too. The rules are the gateway's (`gateway.close_codes`); a test holds both
    against each other.
    """
    decision = LOST if code is None else DECISIONS.get(code, LOST)
    return decision._replace(reason=f"{decision.reason}: {text}") if text and decision is not DONE else decision


def after_refusal(status: int) -> ReconnectDecision:
    """The decision for a handshake that was refused with an HTTP status (docs/protocol.md, "The door").

    503 is `busy` or `unavailable`: the longer wait of the two. A 5xx of a proxy in between is temporary too.
    """
    if status == 401:
        return BAD_TOKEN
    if status in (429, 503):
        return ReconnectDecision(True, 5.0, "the gateway admits no clients now")
    if status == 408 or (status >= 500 and status != 505):
        return ReconnectDecision(True, 0.0, "the gateway could not answer")
    return PERMANENTLY_REFUSED


class ReconnectBackoff:
    """Exponential back-off with full jitter: random(0, min(30 s, 0.5 s * 2^n)); n restarts after 30 s of connection."""

    def __init__(self) -> None:
        self._attempts = 0

    def lost(self, seconds_connected: float) -> None:
        """Record a lost connection and how long it had lasted."""
        if seconds_connected >= RESET_AFTER:
            self._attempts = 0

    def next_delay(self, jitter: float, min_delay: float = 0.0) -> float:
        """Seconds to wait before the next attempt. `jitter`: a random number in [0, 1)."""
        max_jitter = min(MAX_DELAY, BASE_DELAY * 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        return min_delay + jitter * max_jitter
