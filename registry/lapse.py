"""Whether this node may still act: the rules "Lapsed" of design §4, as values.

A lease is certainly alive until TTL - 1 s after its last answered keepalive was *sent*: the store counts from when it
received it, which is later. Past that, the node holds what it reads and asks its routers, who read linearizably.
ALIVE and AWAY hold for 500 ms, counted from when the question left, so that an answer which lay in a buffer while the
process was stopped proves nothing. FENCED is for ever: only a new epoch helps.

Times are seconds on CLOCK_BOOTTIME, which, unlike CLOCK_MONOTONIC, counts the time a machine was suspended.
"""

from enum import Enum, auto

MARGIN = 1.0  # seconds before the TTL at which the lease no longer counts as certain
GOOD_FOR = 0.5  # seconds that a router's answer holds


class FencingAnswer(Enum):
    """What a router may say to "am I still alive?"."""

    ALIVE = auto()
    AWAY = auto()
    FENCED = auto()


class LeaseState(Enum):
    """What a node may do now."""

    HELD = auto()  # the lease is certain, or a router has vouched: everything
    AWAY = auto()  # nobody can read the store: go on under the last epoch, admit as unregistered
    LAPSED = auto()  # mint nothing, admit nobody, write nothing; ask a router
    FENCED = auto()  # the incarnation is over


class LeaseTracker:
    """One incarnation's standing."""

    __slots__ = ("_answer", "_asked", "_fenced", "_sent", "_ttl")

    def __init__(self, ttl: float, sent: float) -> None:
        """`sent`: when the request that granted the lease left."""
        self._ttl = ttl
        self._sent = sent
        self._answer = FencingAnswer.ALIVE
        self._asked = float("-inf")
        self._fenced = False

    @property
    def certain_until(self) -> float:
        """When the lease stops being certain, unless another keepalive is answered."""
        return self._sent + self._ttl - MARGIN

    @property
    def fenced(self) -> bool:
        """Whether a router or the store has said that the incarnation is over."""
        return self._fenced

    def kept(self, sent: float) -> None:
        """A keepalive that left at `sent` has been answered. Answers may arrive out of order."""
        self._sent = max(self._sent, sent)

    def answered(self, answer: FencingAnswer, asked: float) -> None:
        """A router has answered a question that left at `asked`."""
        if answer is FencingAnswer.FENCED:
            self._fenced = True
        elif asked >= self._asked:
            self._answer, self._asked = answer, asked

    def fence(self) -> None:
        """The store itself has said that the incarnation is over."""
        self._fenced = True

    def lapsed(self, now: float) -> bool:
        """Whether the lease may be over, by this node's own knowledge alone."""
        return self._fenced or now >= self.certain_until

    def lease_state(self, now: float) -> LeaseState:
        """What the node may do at `now`, its routers' answers included."""
        if self._fenced:
            return LeaseState.FENCED
        if now < self.certain_until:
            return LeaseState.HELD
        if now < self._asked + GOOD_FOR:
            return LeaseState.HELD if self._answer is FencingAnswer.ALIVE else LeaseState.AWAY
        return LeaseState.LAPSED
