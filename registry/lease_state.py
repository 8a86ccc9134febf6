"""Whether this node may still act: the rules of docs/design.md, "Dead, paused, cut off", as values.

A lease counts as certain until TTL - 1 s after its last answered keepalive was *sent*: the store counts from the
keepalive's arrival, which is later. After that the node is lapsed: it holds what routers send, and queries the routers,
who read linearizably. ALIVE and AWAY are valid for 500 ms from when the query was sent, so an answer that lay in a
buffer while the process was stopped is worth nothing. FENCED is final: only a new epoch ends it.

Times are seconds on CLOCK_BOOTTIME, which, unlike CLOCK_MONOTONIC, counts suspended time.
"""

from enum import Enum, auto

MARGIN = 1.0  # seconds before the end of the TTL at which the lease stops being certain
ANSWER_VALID = 0.5  # seconds from a query to the end of its answer's validity


class FencingAnswer(Enum):
    """A router's answer to a fencing query: is the incarnation alive?"""

    ALIVE = auto()  # its key is there
    AWAY = auto()  # the router cannot read the store either
    FENCED = auto()  # its key is gone, or has another epoch


class LeaseState(Enum):
    """What a node may do now."""

    HELD = auto()  # the lease is certain, or a router has answered ALIVE: everything
    AWAY = auto()  # the routers cannot read the store either: continue, and admit clients as unregistered
    LAPSED = auto()  # make no ids, admit no clients, write nothing, until a router has answered
    FENCED = auto()  # the incarnation is over


class LeaseTracker:
    """The lease of one incarnation, as far as this node and its routers know."""

    __slots__ = ("_answer", "_fenced", "_queried", "_sent", "_ttl")

    def __init__(self, ttl: float, sent: float) -> None:
        """`sent`: when the request that granted the lease was sent."""
        self._ttl = ttl
        self._sent = sent
        self._answer = FencingAnswer.ALIVE
        self._queried = float("-inf")
        self._fenced = False

    @property
    def certain_until(self) -> float:
        """When the lease stops being certain, unless another keepalive is answered."""
        return self._sent + self._ttl - MARGIN

    @property
    def confirmed(self) -> float:
        """When the newest request was sent whose answer says that the node may act: the store's, or a router's."""
        return max(self._sent, self._queried)

    def cut_off(self, now: float) -> float:
        """Seconds for which the store has answered the routers and not this node; 0 if it has answered neither."""
        return max(0.0, now - self.certain_until) if self._answer is FencingAnswer.ALIVE else 0.0

    @property
    def fenced(self) -> bool:
        """Whether the incarnation is known to be over."""
        return self._fenced

    def on_keepalive(self, sent: float) -> None:
        """The store has answered the keepalive that was sent at `sent`. Answers may arrive out of order."""
        self._sent = max(self._sent, sent)

    def on_fencing_answer(self, answer: FencingAnswer, queried: float) -> None:
        """A router has answered the query that was sent at `queried`."""
        if answer is FencingAnswer.FENCED:
            self._fenced = True
        elif queried >= self._queried:
            self._answer, self._queried = answer, queried

    def set_fenced(self) -> None:
        """The store itself has shown that the incarnation is over."""
        self._fenced = True

    def lapsed(self, now: float) -> bool:
        """Whether the lease may be over, by this node's own knowledge."""
        return self._fenced or now >= self.certain_until

    def state(self, now: float) -> LeaseState:
        """What the node may do at `now`, by its own knowledge and its routers' answers."""
        if self._fenced:
            return LeaseState.FENCED
        if now < self.certain_until:
            return LeaseState.HELD
        if now < self._queried + ANSWER_VALID:
            return LeaseState.HELD if self._answer is FencingAnswer.ALIVE else LeaseState.AWAY
        return LeaseState.LAPSED
