"""Core: the order of the pushes to one target in routed delivery (docs/promises.md, "What is promised", Order).

The pushes to one target are its *lane*: those in flight, and those that wait behind them. A push in flight may still be
sent to another node, because a node that it was sent to may answer NOT_MINE or OLD_EPOCH: then the push is healed. So
a push may overtake the pushes in flight on no node: it is sent at once only to nodes that each of them was sent to.
"""

from typing import TYPE_CHECKING

from homing.v1 import router_pb2
from registry.model import SessionRoute
from router.delivery.plan import Leg, Plan
from router.delivery.port import OnResult
from router.delivery.report import ReportBuilder
from router.hop.port import OutgoingPush
from router.push import CallRefused, CheckedPush

if TYPE_CHECKING:
    from router.delivery.trace import PushTrace

LANE_CAPACITY = 1000  # pushes to one target that may wait
NO_LEGS: Plan = {}


class RoutedPush:
    """One push, from its plan to its report."""

    __slots__ = (
        *("contacted", "healing", "healings", "lane", "number", "on_result", "outgoing", "refusing"),
        *("denied", "outdated", "pending", "push", "received_ns", "report", "trace"),
    )

    def __init__(self, number: int, push: CheckedPush, received_ns: int, on_result: OnResult) -> None:
        self.number = number  # in the order of the `start` calls
        self.push = push
        self.received_ns = received_ns
        self.on_result = on_result
        self.report = ReportBuilder(push)
        self.contacted: Plan = NO_LEGS  # every leg that was sent
        self.pending = 0  # answers that are outstanding, and sends that are not finished
        self.healing = False  # an owner answered NOT_MINE or OLD_EPOCH, and the push waits in its lane
        self.healings = 0  # how often what healing sends was sent
        self.denied: list[SessionRoute] = []  # routes to nodes which have answered that the session is not there
        self.refusing: set[str] = set()  # nodes that have answered that they wrote nothing
        self.outdated: list[Leg] = []  # whose nodes have answered that this incarnation of theirs is over
        self.lane: Lane | None = None  # not None: in flight
        self.trace: PushTrace | None = None  # None: not sampled
        self.outgoing: OutgoingPush | None = None  # encoded for the first leg

    def finish(self, result: router_pb2.PushReport | CallRefused) -> None:
        """Report the result to the caller and to the trace."""
        if self.trace is not None:
            self.trace.finish(result)
        self.on_result(result)


class Lane:
    """The pushes to one target."""

    __slots__ = ("in_flight", "legs", "needs_read", "overtaken", "waiting")

    def __init__(self) -> None:
        self.in_flight = 0  # pushes that were sent and may still be healed
        self.legs = NO_LEGS  # the nodes that each of them was sent to
        self.waiting: list[RoutedPush] | None = None  # in their order; None: no push has to wait
        self.needs_read = False  # a push waits for the table to catch up
        self.overtaken = False  # later pushes were sent: those of these that are still in flight are not healed

    def may_send(self, legs: Plan) -> bool:
        """Whether a push with this plan can be sent now without overtaking one that is in flight or waits."""
        return self.waiting is None and self.covers(legs)

    def covers(self, legs: Plan) -> bool:
        """Whether each push in flight was sent to all of these nodes."""
        return not self.in_flight or legs.keys() <= self.legs.keys()

    def enter_healed(self, contacted: Plan) -> None:
        """A push that was healed is in flight again, and was sent to these nodes."""
        common = {incarnation: leg for incarnation, leg in self.legs.items() if incarnation in contacted}
        self.legs = common if self.in_flight else contacted
        self.in_flight += 1

    def wait(self, routed: RoutedPush) -> bool:
        """Let the push wait, in its order. False: the lane is full. A push that is healed always has room."""
        waiting = self.waiting = self.waiting or []
        if len(waiting) >= LANE_CAPACITY and not routed.healing:
            return False
        index = len(waiting)
        while index and waiting[index - 1].number > routed.number:
            index -= 1
        waiting.insert(index, routed)
        return True
