"""Core: which pushes on the bus each node has handled, and so which reports are complete (broadcast mode).

A router numbers its pushes in the order in which they are published; the number is the push's *call*. Every node
handles them in that order. In its `Handled` messages (node.proto) a node reports the spans of calls that it has
handled, the calls for which it has receivers (`taken`), and its answers. A push is complete when every node that was
there at its publication has handled it, and every node that has taken it has answered. A span that does not begin right
after the node's last handled call shows that the bus has lost the calls in between.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from homing.internal.v1 import node_pb2
from registry.model import Incarnation
from router.delivery.plan import Leg
from router.delivery.report import ReportBuilder
from router.push import CheckedPush


class PublishedPush:
    """One push in broadcast mode, until its report is complete."""

    __slots__ = ("awaited", "call", "deadline", "handled", "nodes", "push", "report", "unreachable")

    def __init__(self, push: CheckedPush, report: ReportBuilder, deadline: float) -> None:
        self.push = push
        self.report = report
        self.deadline = deadline  # loop time; then nodes without an answer are UNREACHABLE
        self.call = 0  # assigned at publication
        self.nodes: tuple[Incarnation, ...] = ()  # the nodes at publication
        self.awaited: set[Incarnation] = set()  # nodes that have taken the push and have not answered
        self.unreachable: set[Incarnation] = set()  # nodes reported as UNREACHABLE
        self.handled = False  # by every node


class BroadcastProgress:
    """The pushes on the bus, by call."""

    def __init__(self, on_complete: Callable[[PublishedPush], None], on_unreachable: Callable[[], None]) -> None:
        """`on_complete`: called once for each push. `on_unreachable`: for each node of a push that is UNREACHABLE."""
        self._on_complete = on_complete
        self._on_unreachable = on_unreachable
        self._in_flight: dict[int, PublishedPush] = {}  # in the order of their calls
        self._unhandled: deque[PublishedPush] = deque()  # not handled by every node yet, in the order of their calls
        self._last_call = 0
        self._nodes: tuple[Incarnation, ...] = ()
        self._without_stream: tuple[Incarnation, ...] = ()  # nodes that cannot answer
        self._handled_to: dict[Incarnation, int] = {}  # the other nodes, with the last call that each has handled

    def __len__(self) -> int:
        return len(self._in_flight)

    def __iter__(self) -> Iterator[PublishedPush]:
        return iter(list(self._in_flight.values()))

    @property
    def nodes(self) -> tuple[Incarnation, ...]:
        """All nodes now."""
        return self._nodes

    def set_nodes(self, with_stream: Iterable[Incarnation], without_stream: Iterable[Incarnation]) -> None:
        """The nodes from now on. A node without a stream may read the bus, but cannot answer."""
        reachable = set(with_stream)
        for incarnation in [incarnation for incarnation in self._handled_to if incarnation not in reachable]:
            self._mark_span_unreachable(incarnation, self._handled_to.pop(incarnation) + 1)
        for incarnation in reachable:
            self._handled_to.setdefault(incarnation, self._last_call)
        self._without_stream = tuple(without_stream)
        self._nodes = (*self._handled_to, *self._without_stream)
        self._complete_handled()

    # Publication

    def on_publish(self, pushes: Iterable[PublishedPush]) -> None:
        """The pushes are about to be published, in this order, to the nodes of now. Assigns their calls."""
        for push in pushes:
            self._last_call += 1
            push.call = self._last_call
            push.nodes = self._nodes
            push.report.nodes_contacted = len(self._nodes)
            self._in_flight[push.call] = push
            self._unhandled.append(push)
            for incarnation in self._without_stream:
                self._mark_unreachable(push, incarnation)

    def on_published(self) -> None:
        """The bus has accepted the pushes. Without any node that can answer they are complete."""
        self._complete_handled()

    def on_rejected(self, pushes: Iterable[PublishedPush]) -> None:
        """The bus has certainly not accepted the last pushes of `on_publish`: their calls are used again."""
        for push in reversed(list(pushes)):
            self._in_flight.pop(push.call, None)
            if self._unhandled and self._unhandled[-1] is push:
                self._unhandled.pop()
            self._last_call -= 1
        for incarnation, call in self._handled_to.items():  # of a node that has come meanwhile
            self._handled_to[incarnation] = min(call, self._last_call)

    def time_out(self, pushes: Iterable[PublishedPush]) -> None:
        """Complete the pushes now. Nodes that have not handled or not answered a push are UNREACHABLE."""
        for push in list(pushes):
            for incarnation in push.nodes:
                if self._handled_to.get(incarnation, 0) < push.call or incarnation in push.awaited:
                    self._mark_unreachable(push, incarnation)
            self._complete(push)

    # Messages of nodes

    def on_handled(self, incarnation: Incarnation, handled: node_pb2.Handled) -> None:
        """One message of a node. Ignored for a node without a stream."""
        if incarnation not in self._handled_to:
            return
        if handled.begins:
            self._handled_to[incarnation] = self._last_call  # earlier pushes came before the node had clients
        for call in handled.taken:
            push = self._in_flight.get(call)
            if push is not None and incarnation not in push.unreachable:
                push.awaited.add(incarnation)
        for answer in handled.answers:
            self._on_answer(incarnation, answer)
        for span in handled.spans:
            self._on_span(incarnation, span.first, min(span.last, self._last_call))
        self._complete_handled()

    def _on_answer(self, incarnation: Incarnation, answer: node_pb2.PushAnswer) -> None:
        push = self._in_flight.get(answer.call)
        if push is None or incarnation in push.unreachable:
            return
        push.awaited.discard(incarnation)
        push.report.add_answer(incarnation, answer)
        only_owner = push.push.target.session and answer.verdict == node_pb2.DONE  # a session has one owner
        if only_owner or (push.handled and not push.awaited):
            self._complete(push)

    def _on_span(self, incarnation: Incarnation, first: int, last: int) -> None:
        handled_to = self._handled_to[incarnation]
        if first > handled_to + 1:
            self._mark_span_unreachable(incarnation, handled_to + 1, first - 1)
        self._handled_to[incarnation] = max(handled_to, last)

    def _complete_handled(self) -> None:
        """Complete each push that every node has handled, unless an answer is awaited."""
        handled_by_all = min(self._handled_to.values(), default=self._last_call)
        while self._unhandled and self._unhandled[0].call <= handled_by_all:
            push = self._unhandled.popleft()
            push.handled = True
            if not push.awaited:
                self._complete(push)

    # Unreachable nodes

    def _mark_span_unreachable(self, incarnation: Incarnation, first: int, last: int | None = None) -> None:
        """The node will not answer the calls from `first` to `last`. None: no later one either, nor awaited answers."""
        for push in list(self._in_flight.values()):
            lost = first <= push.call and (last is None or push.call <= last)
            if incarnation in push.nodes and (lost or (last is None and incarnation in push.awaited)):
                self._mark_unreachable(push, incarnation)
                if push.handled and not push.awaited:
                    self._complete(push)

    def _mark_unreachable(self, push: PublishedPush, incarnation: Incarnation) -> None:
        if incarnation in push.unreachable:
            return
        push.unreachable.add(incarnation)
        push.awaited.discard(incarnation)
        push.report.add_unreachable(Leg(incarnation))
        self._on_unreachable()

    def _complete(self, push: PublishedPush) -> None:
        if self._in_flight.pop(push.call, None) is not None:
            self._on_complete(push)
