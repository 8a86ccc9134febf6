"""Broadcast reports: whatever the order in which nodes speak, lose messages, break and come back, each push completes
once, when everything that will be known of it is known, and says no more than was said."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from registry.model import Incarnation
from router.delivery.progress import BroadcastProgress, Published
from router.delivery.report import ReportBuilder
from router.push import check_push
from tests.support.calls import push

NODES = [Incarnation(f"n{number}", number) for number in range(1, 4)]


class Node:
    """One node: it handles the bus in order, unless the bus loses something, and speaks when it is its turn."""

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.heard: list[tuple[int, bool]] = []  # off the bus, not handled yet: call, and whether it has receivers
        self.spans: list[tuple[int, int]] = []  # handled, not said yet
        self.taken: list[int] = []
        self.owed: list[int] = []  # answers that are still to come
        self.up = True

    def handle(self, number: int) -> None:
        for call, mine in self.heard[:number]:
            self.spans.append((call, call))
            if mine:
                self.taken.append(call)
                self.owed.append(call)
        del self.heard[:number]

    def say(self, answers: int) -> node_pb2.Handled:
        message = node_pb2.Handled()
        for call in self.owed[:answers]:
            answer = message.answers.add(call=call, verdict=node_pb2.DONE)
            answer.counts.add(outcome=Delivery.WRITTEN, sessions=1)
        message.taken.extend(call for call in self.taken if call not in self.owed[:answers])
        for first, last in self.spans:
            message.spans.add(first=first, last=last)
        del self.owed[:answers]
        self.taken.clear()
        self.spans.clear()
        return message


class World:
    def __init__(self) -> None:
        self.nodes = [Node(incarnation) for incarnation in NODES]
        self.done: dict[int, PushReport] = {}
        self.unreachable = 0
        self.written: Counter[int] = Counter()  # answers that nodes gave while somebody listened
        self.receivers: dict[int, int] = {}
        self.disturbed = False
        self.progress = BroadcastProgress(self.complete, self.count)
        self.tell()

    def complete(self, published: Published) -> None:
        assert published.call not in self.done
        self.done[published.call] = published.report.finish()

    def count(self) -> None:
        self.unreachable += 1

    def tell(self) -> None:
        up = [node.incarnation for node in self.nodes if node.up]
        self.progress.nodes_are(up, [node.incarnation for node in self.nodes if not node.up])

    def publish(self, mine: list[bool], lost: bool) -> None:
        checked = check_push(push(user="ada", push_id="p", max_deliveries=100), 100)
        published = Published(checked, ReportBuilder(checked), 0.0)
        self.progress.publish([published])
        self.receivers[published.call] = sum(mine)
        self.disturbed |= lost
        for node, has in zip(self.nodes, mine, strict=True):
            if node.up and not lost:
                node.heard.append((published.call, has))
        self.progress.published()

    def speak(self, node: Node, answers: int) -> None:
        if node.up:
            message = node.say(answers)
            self.written.update(answer.call for answer in message.answers)
            self.progress.on_handled(node.incarnation, message)

    def turn(self, node: Node) -> None:
        """Its stream breaks, with all that was under way, or is there again."""
        self.disturbed = True
        node.up = not node.up
        for gone in (node.heard, node.spans, node.taken, node.owed):
            gone.clear()
        self.tell()
        if node.up:
            self.progress.on_handled(node.incarnation, node_pb2.Handled(begins=True))


which = st.sampled_from(range(len(NODES)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.lists(st.booleans(), min_size=3, max_size=3), st.just(False)),
        st.tuples(st.just("lose"), st.lists(st.booleans(), min_size=3, max_size=3), st.just(True)),
        st.tuples(st.just("handle"), which, st.integers(1, 3)),
        st.tuples(st.just("say"), which, st.integers(0, 3)),
        st.tuples(st.just("turn"), which, st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_each_push_completes_once_and_says_what_was_said(taken: list) -> None:
    world = World()
    for what, first, second in taken:
        match what:
            case "publish" | "lose":
                world.publish(first, second)
            case "handle":
                world.nodes[first].handle(second)
            case "say":
                world.speak(world.nodes[first], second)
            case "turn":
                world.turn(world.nodes[first])
    world.publish([False] * 3, False)  # shows the gap, if the last one was lost
    for node in world.nodes:
        node.handle(len(node.heard))
        world.speak(node, len(node.owed))
    assert set(world.done) == set(world.receivers)  # nothing is left open
    assert len(world.progress) == 0
    for call, report in world.done.items():
        counts = report.counts
        assert counts.get("WRITTEN", 0) <= world.written[call]
        assert report.owning_nodes == counts.get("WRITTEN", 0)
        assert counts.get("UNREACHABLE", 0) + report.owning_nodes <= report.nodes_contacted == len(NODES)
        assert counts.get("WRITTEN", 0) + counts.get("UNREACHABLE", 0) >= world.receivers[call]  # nobody is forgotten
        assert "OFFLINE" not in counts or not world.receivers[call]
        if not world.disturbed:
            assert counts.get("WRITTEN", 0) == world.receivers[call]
            assert ("OFFLINE" in counts) == (not world.receivers[call])
    assert world.disturbed or world.unreachable == 0
