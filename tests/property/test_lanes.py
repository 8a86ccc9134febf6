"""Lanes of routed delivery: whatever users, nodes and the table do, the pushes to one session are written in the order
of their calls, each push finishes exactly once, and a full lane refuses.

No time and no I/O: nodes, fleet and feed are fakes, and each of their steps is a step of the test.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from homing.internal.v1 import node_pb2
from homing.v1.router_pb2 import Delivery, PushReport
from observability import names
from observability.counters import counters
from registry.model import Incarnation
from router.delivery import lanes, routed
from router.delivery.routed import Routed
from router.hop.port import OnAnswer, OutgoingPush
from router.push import CallRefused, check_push
from tests.support.calls import push
from tests.support.table import TableFeed

NODES = 3
USERS = ("ada", "ada", "ada", "bob")  # ada is most often meant
CAPACITY = 3

Step = tuple[str, str, int]


class FakeNode:
    """A node and its hop. Handles pushes in order, and answers NOT_MINE in order; DONE may come at any time."""

    reachable = True

    def __init__(self, incarnation: Incarnation) -> None:
        self.incarnation = incarnation
        self.sessions: dict[str, int] = {}  # user -> sid, in fact
        self.unhandled: deque[tuple[node_pb2.Push, OnAnswer]] = deque()
        self.refused: deque[OnAnswer] = deque()  # NOT_MINE is on its way
        self.written: list[OnAnswer] = []  # DONE is on its way
        self.received: dict[int, list[int]] = defaultdict(list)  # sid -> push ids

    def has_room(self, _size: int) -> bool:
        return True

    def push(self, push: OutgoingPush, on_answer: OnAnswer) -> None:
        self.unhandled.append((node_pb2.Push.FromString(push.raw), on_answer))

    def handle(self) -> None:
        """Handle the next push."""
        if self.unhandled:
            message, on_answer = self.unhandled.popleft()
            sid = self.sessions.get(message.receivers.user)
            if sid is None:
                self.refused.append(on_answer)
            else:
                self.received[sid].append(int(message.push_id))
                self.written.append(on_answer)

    def answer_refused(self) -> None:
        """The next NOT_MINE arrives at the router."""
        if self.refused:
            self.refused.popleft()(node_pb2.PushAnswer(verdict=node_pb2.NOT_MINE))

    def answer_written(self, index: int) -> None:
        """One DONE arrives, in any order, because clients ack when they like."""
        if self.written:
            answer = node_pb2.PushAnswer(verdict=node_pb2.DONE)
            answer.counts.add(outcome=Delivery.WRITTEN, sessions=1)
            self.written.pop(index % len(self.written))(answer)


class FakeFleet:
    """The nodes as hops."""

    def __init__(self, nodes: list[FakeNode]) -> None:
        self.hop = {node.incarnation: node for node in nodes}.get

    def scattering(self) -> frozenset[Incarnation]:
        return frozenset()


class FakeFeed(TableFeed):
    """A table that learns one committed change after the other; reads are answered by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.committed = 0
        self.unknown: deque[Callable[[], None]] = deque()  # committed, not in the table yet
        self.waiting: list[tuple[int, asyncio.Future[bool]]] = []  # reads, with what was committed when they began

    def commit(self, change: Callable[[], None]) -> None:
        self.committed += 1
        self.unknown.append(change)

    def learn(self) -> None:
        """The table learns the next change."""
        if self.unknown:
            self.unknown.popleft()()

    def answer_reads(self) -> None:
        """Every read ends: the table holds what was committed before its begin."""
        waiting, self.waiting = self.waiting, []
        for committed, future in waiting:
            while self.committed - len(self.unknown) < committed:
                self.learn()
            future.set_result(True)

    async def wait_caught_up(self) -> bool:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.append((self.committed, future))
        return await future


class World:
    """Users on nodes, and a router's delivery to them."""

    def __init__(self) -> None:
        self.feed = FakeFeed()
        self.nodes = [FakeNode(self.feed.node(f"n{number}")) for number in range(NODES)]
        self.counters = counters(names.ROUTER)
        self.routed = Routed(self.feed, FakeFleet(self.nodes), self.counters)
        self.pushes: Counter[str] = Counter()
        self.results: dict[int, PushReport | CallRefused] = {}
        self.sids = 0

    def connect(self, user: str, node: FakeNode) -> None:
        """A session of the user begins on this node, if the user has none there."""
        if user not in node.sessions:
            self.sids += 1
            node.sessions[user] = sid = self.sids
            self.feed.commit(lambda: self.feed.session(node.incarnation, user, sid))

    def disconnect(self, user: str, node: FakeNode) -> None:
        """The user's session on this node ends."""
        if user in node.sessions:
            sid = node.sessions.pop(user)
            self.feed.commit(lambda: self.feed.session_gone(node.incarnation, user, sid))

    def push(self, user: str) -> None:
        """A push to the user; push ids count up."""
        self.pushes[user] += 1
        push_id = self.pushes.total()

        def on_result(result: PushReport | CallRefused) -> None:
            assert push_id not in self.results, "a push finishes once"
            self.results[push_id] = result

        self.routed.start(check_push(push(user=user, push_id=str(push_id)), 100), 0, on_result)

    def take(self, step: Step) -> None:
        what, user, number = step
        node = self.nodes[number % NODES]
        match what:
            case "connect":
                self.connect(user, node)
            case "disconnect":
                self.disconnect(user, node)
            case "move":
                self.disconnect(user, node)
                self.connect(user, self.nodes[(number + 1) % NODES])
            case "push":
                self.push(user)
            case "handle":
                node.handle()
            case "answer refused":
                node.answer_refused()
            case "answer written":
                node.answer_written(number)
            case "learn":
                self.feed.learn()
            case "answer reads":
                self.feed.answer_reads()

    async def finish(self) -> None:
        """Everything that is in flight ends, nodes and reads in turn; a push needs three rounds at most."""
        for _ in range(3 * self.pushes.total() + 3):
            for node in self.nodes:
                while node.unhandled:
                    node.handle()
                while node.refused:
                    node.answer_refused()
                while node.written:
                    node.answer_written(0)
            self.feed.answer_reads()
            await settle()
        await self.routed.close()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def run(steps: list[Step]) -> World:
    world = World()
    for step in steps:
        world.take(step)
        await settle()
    await world.finish()
    return world


def steps_of_ada(*steps: tuple[str, int]) -> list[Step]:
    return [(what, "ada", number) for what, number in steps]


WHAT = ("connect", "disconnect", "move", "learn", "push", "push", "handle", "handle", "answer refused")
STEPS = st.lists(
    st.tuples(
        st.sampled_from((*WHAT, *WHAT, "answer written", "answer reads")),
        st.sampled_from(USERS),
        st.integers(0, NODES - 1),
    ),
    max_size=50,
)
TWO_STALE = (("connect", 0), ("learn", 0), ("push", 0), ("push", 0), ("move", 0), ("handle", 0), ("handle", 0))


@settings(max_examples=400, deadline=None)
@given(STEPS)
@example(steps_of_ada(*TWO_STALE, ("answer refused", 0), ("push", 0), ("answer refused", 0)))
@example(steps_of_ada(*TWO_STALE, ("answer refused", 0), ("answer reads", 0), ("push", 0), ("handle", 1)))
@example(steps_of_ada(*TWO_STALE, ("learn", 0), ("learn", 0), ("push", 0), ("handle", 1)))
def test_order_is_kept_each_push_finishes_once_and_a_full_lane_refuses(steps: list[Step]) -> None:
    with patch.object(routed, "SETTLE_LIMIT", 3600.0), patch.object(lanes, "LANE_CAPACITY", CAPACITY):
        world = asyncio.run(run(steps))
    assert sorted(world.results) == list(range(1, world.pushes.total() + 1))
    received = [numbers for node in world.nodes for numbers in node.received.values()]
    for numbers in received:
        assert numbers == sorted(set(numbers))
    refused = {number for number, result in world.results.items() if isinstance(result, CallRefused)}
    assert refused.isdisjoint(number for numbers in received for number in numbers)
    assert len(refused) == world.counters.pushes_refused
    assert {world.results[number].code for number in refused} <= {"RESOURCE_EXHAUSTED"}


def test_a_full_lane_refuses_the_next_push_and_no_other() -> None:
    with patch.object(lanes, "LANE_CAPACITY", CAPACITY):
        world = asyncio.run(run(steps_of_ada(*[("push", 0)] * (CAPACITY + 2), ("connect", 0))))
    refused = [number for number, result in sorted(world.results.items()) if isinstance(result, CallRefused)]
    assert refused == [CAPACITY + 1, CAPACITY + 2]
    assert world.results[refused[0]].retry_after
