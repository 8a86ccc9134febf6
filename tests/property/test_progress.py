"""Broadcast reports: whatever the order in which nodes answer, miss messages, disconnect and come back, each push
completes once, when no more will be known of it, and its report has no more than the nodes' answers."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from registry.model import Incarnation
from router.delivery.progress import BroadcastProgress, PublishedPush
from router.delivery.report import ReportBuilder
from router.push import check_push
from tests.support.calls import push

NODES = [Incarnation(f"n{number}", number) for number in range(1, 4)]


class Node:
    """One node: handles what the bus delivers, in order, and reports when told to by the test."""

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.unhandled: list[tuple[int, bool]] = []  # read from the bus: call, and whether it has receivers
        self.spans: list[tuple[int, int]] = []  # handled, not reported yet
        self.taken: list[int] = []
        self.unanswered: list[int] = []
        self.up = True

    def handle(self, number: int) -> None:
        for call, mine in self.unhandled[:number]:
            self.spans.append((call, call))
            if mine:
                self.taken.append(call)
                self.unanswered.append(call)
        del self.unhandled[:number]

    def report(self, answers: int) -> node_pb2.Handled:
        message = node_pb2.Handled()
        for call in self.unanswered[:answers]:
            answer = message.answers.add(call=call, verdict=node_pb2.DONE)
            answer.counts.add(outcome=Delivery.WRITTEN, sessions=1)
        message.taken.extend(call for call in self.taken if call not in self.unanswered[:answers])
        for first, last in self.spans:
            message.spans.add(first=first, last=last)
        del self.unanswered[:answers]
        self.taken.clear()
        self.spans.clear()
        return message


class World:
    def __init__(self) -> None:
        self.nodes = [Node(incarnation) for incarnation in NODES]
        self.reports: dict[int, PushReport] = {}
        self.unreachable = 0
        self.written: Counter[int] = Counter()  # answers that nodes have sent
        self.receivers: dict[int, int] = {}
        self.disturbed = False
        self.progress = BroadcastProgress(self.complete, self.count)
        self.set_nodes()

    def complete(self, published: PublishedPush) -> None:
        assert published.call not in self.reports
        self.reports[published.call] = published.report.finish()

    def count(self) -> None:
        self.unreachable += 1

    def set_nodes(self) -> None:
        up = [node.incarnation for node in self.nodes if node.up]
        self.progress.set_nodes(up, [node.incarnation for node in self.nodes if not node.up])

    def publish(self, mine: list[bool], lost: bool) -> None:
        checked = check_push(push(user="ada", push_id="p", max_deliveries=100), 100)
        published = PublishedPush(checked, ReportBuilder(checked), 0.0)
        self.progress.on_publish([published])
        self.receivers[published.call] = sum(mine)
        self.disturbed |= lost
        for node, has in zip(self.nodes, mine, strict=True):
            if node.up and not lost:
                node.unhandled.append((published.call, has))
        self.progress.on_published()

    def send_report(self, node: Node, answers: int) -> None:
        if node.up:
            message = node.report(answers)
            self.written.update(answer.call for answer in message.answers)
            self.progress.on_handled(node.incarnation, message)

    def toggle(self, node: Node) -> None:
        """The node's stream breaks, with everything in flight, or is open again."""
        self.disturbed = True
        node.up = not node.up
        for lost in (node.unhandled, node.spans, node.taken, node.unanswered):
            lost.clear()
        self.set_nodes()
        if node.up:
            self.progress.on_handled(node.incarnation, node_pb2.Handled(begins=True))


which = st.sampled_from(range(len(NODES)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.lists(st.booleans(), min_size=3, max_size=3), st.just(False)),
        st.tuples(st.just("lose"), st.lists(st.booleans(), min_size=3, max_size=3), st.just(True)),
        st.tuples(st.just("handle"), which, st.integers(1, 3)),
        st.tuples(st.just("report"), which, st.integers(0, 3)),
        st.tuples(st.just("toggle"), which, st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_each_push_completes_once_with_what_the_nodes_answered(taken: list) -> None:
    world = World()
    for what, first, second in taken:
        match what:
            case "publish" | "lose":
                world.publish(first, second)
            case "handle":
                world.nodes[first].handle(second)
            case "report":
                world.send_report(world.nodes[first], second)
            case "toggle":
                world.toggle(world.nodes[first])
    world.publish([False] * 3, False)  # shows the gap, if the last one was lost
    for node in world.nodes:
        node.handle(len(node.unhandled))
        world.send_report(node, len(node.unanswered))
    assert set(world.reports) == set(world.receivers)  # no push is left in flight
    assert len(world.progress) == 0
    for call, report in world.reports.items():
        counts = report.counts
        assert counts.get("WRITTEN", 0) <= world.written[call]
        assert report.owning_nodes == counts.get("WRITTEN", 0)
        assert counts.get("UNREACHABLE", 0) + report.owning_nodes <= report.nodes_contacted == len(NODES)
        assert counts.get("WRITTEN", 0) + counts.get("UNREACHABLE", 0) >= world.receivers[call]  # all are counted
        assert "OFFLINE" not in counts or not world.receivers[call]
        if not world.disturbed:
            assert counts.get("WRITTEN", 0) == world.receivers[call]
            assert ("OFFLINE" in counts) == (not world.receivers[call])
    assert world.disturbed or world.unreachable == 0
