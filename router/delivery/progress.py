"""Core: which published pushes each node has handled, and so which reports are complete (broadcast mode).

A router numbers its pushes in the order in which they go to the bus; every node handles them in that order, says how
far it has come, and answers those that had receivers there. So a push is complete when every node that was there when
it was published has come past it, and all that took it have answered. Nodes say spans of numbers: one that begins
past where the node was tells that the bus has lost what lies between.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.delivery.plan import Leg
from router.delivery.report import ReportBuilder
from router.push import CheckedPush


class Published:
    """One push on the bus, until its report is complete."""

    __slots__ = ("call", "due", "handled", "lost", "nodes", "owed", "push", "report")

    def __init__(self, push: CheckedPush, report: ReportBuilder, due: float) -> None:
        self.push = push
        self.report = report
        self.due = due  # when it is given up
        self.call = 0  # its number, once it goes to the bus
        self.nodes: tuple[Incarnation, ...] = ()  # who was there then
        self.owed: set[Incarnation] = set()  # who has receivers and has not answered
        self.lost: set[Incarnation] = set()  # of whom nothing is known any more
        self.handled = False  # every node has come past it


class BroadcastProgress:
    """The pushes on the bus. `complete` hears each whose report is complete, once."""

    def __init__(self, complete: Callable[[Published], None], unreachable: Callable[[], None]) -> None:
        """`unreachable` is called for each node that will not say what it did with a push."""
        self._complete = complete
        self._unreachable = unreachable
        self._open: dict[int, Published] = {}  # in the order of their calls
        self._line: deque[Published] = deque()  # what some node has not come past yet
        self._calls = 0
        self._nodes: tuple[Incarnation, ...] = ()
        self._silent: tuple[Incarnation, ...] = ()  # of these: no stream, so nothing will be heard
        self._reached: dict[Incarnation, int] = {}  # of the others: how far each has come

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Published]:
        return iter(list(self._open.values()))

    @property
    def nodes(self) -> tuple[Incarnation, ...]:
        """Who is there now."""
        return self._nodes

    def nodes_are(self, heard: Iterable[Incarnation], silent: Iterable[Incarnation]) -> None:
        """Who is there from now on: nodes with a stream, and nodes that could hear the bus and cannot be heard."""
        listening = set(heard)
        for incarnation in [incarnation for incarnation in self._reached if incarnation not in listening]:
            self._lose_from(incarnation, self._reached.pop(incarnation) + 1)
        for incarnation in listening:
            self._reached.setdefault(incarnation, self._calls)
        self._silent = tuple(silent)
        self._nodes = (*self._reached, *self._silent)
        self._advance()

    # A push goes out ------------------------------------------------------------------------------------------------

    def publish(self, pushes: Iterable[Published]) -> None:
        """These go to the bus now: they get their numbers, and their nodes are those of now."""
        for push in pushes:
            self._calls += 1
            push.call = self._calls
            push.nodes = self._nodes
            push.report.contacted = len(self._nodes)
            self._open[push.call] = push
            self._line.append(push)
            for incarnation in self._silent:
                self._lose(push, incarnation)

    def published(self) -> None:
        """The bus has taken them. Without any node that can be heard they are complete."""
        self._advance()

    def withdraw(self, pushes: Iterable[Published]) -> None:
        """The last ones published were certainly not taken: as if they had never been."""
        for push in reversed(list(pushes)):
            self._open.pop(push.call, None)
            if self._line and self._line[-1] is push:
                self._line.pop()
            self._calls -= 1
        for incarnation, reached in self._reached.items():  # one that has come meanwhile counts from before them
            self._reached[incarnation] = min(reached, self._calls)

    def give_up(self, pushes: Iterable[Published]) -> None:
        """Nothing more is awaited: who has not said what it did with them is unreachable."""
        for push in list(pushes):
            for incarnation in push.nodes:
                if self._reached.get(incarnation, 0) < push.call or incarnation in push.owed:
                    self._lose(push, incarnation)
            self._end(push)

    # What a node says -----------------------------------------------------------------------------------------------

    def on_handled(self, incarnation: Incarnation, handled: node_pb2.Handled) -> None:
        """One message of a node that has a stream; from another it is nothing."""
        if incarnation not in self._reached:
            return
        if handled.begins:
            self._reached[incarnation] = self._calls  # what came before it had this stream, it handled without clients
        for call in handled.taken:
            push = self._open.get(call)
            if push is not None and incarnation not in push.lost:
                push.owed.add(incarnation)
        for answer in handled.answers:
            self._answered(incarnation, answer)
        for span in handled.spans:
            self._came_past(incarnation, span.first, min(span.last, self._calls))
        self._advance()

    def _answered(self, incarnation: Incarnation, answer: node_pb2.PushAnswer) -> None:
        push = self._open.get(answer.call)
        if push is None or incarnation in push.lost:
            return
        push.owed.discard(incarnation)
        push.report.add_answer(incarnation, answer)
        alone = push.push.target.session and answer.verdict == node_pb2.DONE  # a session is in one place
        if alone or (push.handled and not push.owed):
            self._end(push)

    def _came_past(self, incarnation: Incarnation, first: int, last: int) -> None:
        reached = self._reached[incarnation]
        if first > reached + 1:
            self._lose_from(incarnation, reached + 1, first - 1)
        self._reached[incarnation] = max(reached, last)

    def _advance(self) -> None:
        floor = min(self._reached.values(), default=self._calls)
        line = self._line
        while line and line[0].call <= floor:
            push = line.popleft()
            push.handled = True
            if not push.owed:
                self._end(push)

    # What is not known any more -------------------------------------------------------------------------------------

    def _lose_from(self, incarnation: Incarnation, first: int, last: int | None = None) -> None:
        """Nothing will be heard from this node about these calls, nor, when it is gone, about what it owes."""
        for push in list(self._open.values()):
            missed = first <= push.call and (last is None or push.call <= last)
            if incarnation in push.nodes and (missed or (last is None and incarnation in push.owed)):
                self._lose(push, incarnation)
                if push.handled and not push.owed:
                    self._end(push)

    def _lose(self, push: Published, incarnation: Incarnation) -> None:
        if incarnation in push.lost:
            return
        push.lost.add(incarnation)
        push.owed.discard(incarnation)
        push.report.add_unreachable(Leg(incarnation))
        self._unreachable()

    def _end(self, push: Published) -> None:
        if self._open.pop(push.call, None) is not None:
            self._complete(push)
