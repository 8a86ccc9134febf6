"""One simulated router: its table, fleet, delivery, node requests and sweeper, started as `router.process` does."""

import asyncio
from collections.abc import Callable

from homing.internal.v1 import node_pb2
from homing.v1 import router_pb2
from observability import names
from observability.counters import counters
from observability.tracing import OFF
from registry.feed import StoreRouteFeed
from registry.model import Incarnation, Node
from registry.ports import RegistrySettings
from registry.sweeper import Sweeper
from router.backlog import Backlog
from router.caller import LOOPBACK
from router.delivery.lanes import RoutedPush
from router.delivery.plan import Plan, to_receivers
from router.delivery.routed import Routed
from router.hop.fencing import FencingQueries
from router.hop.fleet import Fleet
from router.hop.port import Hop, OnChange
from router.hop.stream import HopSettings, StreamHop
from router.node_requests import NodeRequests
from router.push import CallRefused, Target
from router.push_handler import PushHandler
from tests.simulation.clocks import ProcessClocks
from tests.simulation.history import History, IncarnationEnd, Sent
from tests.simulation.loop import ProcessLoop, ProcessState
from tests.simulation.network import Network
from tests.simulation.store_client import StoreClient, StoreServer

HOP = HopSettings(ping=0.5, queue=60)
Outcome = router_pb2.Delivery.Outcome


class RecordedFleet(Fleet):
    """Records which incarnations this router has ended."""

    on_end: Callable[[Incarnation], None]

    def _end(self, incarnation: Incarnation) -> None:
        if incarnation in self._hops:
            self.on_end(incarnation)
        super()._end(incarnation)


class RecordedRouted(Routed):
    """Records which incarnations a push was sent to."""

    sent: dict[str, Sent]

    def _send_legs(self, routed: RoutedPush, legs: Plan) -> None:
        sent = self.sent[routed.push.push_id]
        sent.contacted = sent.contacted if sent.contacted is not None else set()
        sent.contacted.update((one.node, one.epoch) for one in legs)
        super()._send_legs(routed, legs)


class RouterProcess:
    """One process of one router; a restart is another object with another name."""

    def __init__(
        self,
        *,
        name: str,
        loop: ProcessLoop,
        network: Network,
        server: StoreServer,
        clocks: ProcessClocks,
        settings: RegistrySettings,
        history: History,
        sent: dict[str, Sent],
    ) -> None:
        """`name`: of the process; the loop's name is that of its host. `sent`: every push by its push_id."""
        self.name = name
        self.loop = loop
        self.network = network
        self.store = StoreClient(server, loop)
        self.ready = False
        self._clocks = clocks
        self._settings = settings
        self._history = history
        self._sent = sent
        history.router_starts[name] = loop.time()
        loop.call_soon(self._begin)

    def _begin(self) -> None:
        self.feed = StoreRouteFeed(self.store, self._settings, self._clocks.boottime)
        self.fencing = FencingQueries(self.feed)
        self.fleet = RecordedFleet(self.feed, self._make_hop)
        self.fleet.on_end = self._record_end
        self.counters = counters(names.ROUTER)
        self.routed = RecordedRouted(self.feed, self.fleet, self.counters)
        self.routed.sent = self._sent
        self.backlog = Backlog(self.feed.verify, self._clocks.monotonic)
        self.pushes = PushHandler(self.routed, 1_000_000, OFF, self.backlog.received)
        self.node_requests = NodeRequests(self.feed, self.fleet)
        self.sweeper = Sweeper(self.store, self._settings, self.name, self.feed.table, self._clocks.boottime)
        self.loop.create_task(self._serve())

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.feed.run())
            await self.feed.wait_synced()
            group.create_task(self.sweeper.run())
            self.fleet.start(group)
            await self.fleet.wait_opened()
            await self.feed.wait_caught_up()
            self.ready = True
            await self.backlog.run()

    def end(self) -> None:
        """The process was killed."""
        self._history.router_ends[self.name] = self.loop.time()
        self.loop.kill()
        self.network.on_death(self.loop)

    @property
    def alive(self) -> bool:
        return self.loop.state is not ProcessState.DEAD

    def _make_hop(self, incarnation: Incarnation, node: Node, on_change: OnChange) -> Hop:
        def batch() -> int:
            return self.feed.table.batch(incarnation)

        return StreamHop(
            *(self.name, incarnation, node.node_address, HOP, batch, self.fencing.answer, on_change),
            unregistered=node.restoring,
        )

    def _record_end(self, incarnation: Incarnation) -> None:
        self._history.ends.append(IncarnationEnd(*incarnation, self.name, self.loop.time()))

    # Calls

    def push(self, sent: Sent, request: router_pb2.PushRequest) -> None:
        """A caller's push has arrived."""
        sent.t_invoke = self.loop.time()

        def on_result(result: router_pb2.PushReport | CallRefused) -> None:
            sent.reports += 1
            sent.t_return = self.loop.time()
            if isinstance(result, CallRefused):
                sent.refused = str(result)
            else:
                _fill(sent, result)

        self.pushes.start(LOOPBACK, request, self._clocks.monotonic_ns(), on_result, dedup=sent.dedup)

    def change_membership(self, target: Target, file: str, leave: bool, on_answer: Callable[[bool], None]) -> None:
        """A caller's Join or Leave. `on_answer`: whether every node has answered."""
        self.loop.create_task(self._change_membership(target, file, leave, on_answer))

    async def _change_membership(
        self, target: Target, file: str, leave: bool, on_answer: Callable[[bool], None]
    ) -> None:
        def make() -> node_pb2.NodeRequest:
            change = node_pb2.Membership(receivers=to_receivers(target), file=file, leave=leave)
            return node_pb2.NodeRequest(membership=change)

        answers = await self.node_requests.request(target, make)
        on_answer(all(answer is not None for _, answer in answers))


def _fill(sent: Sent, report: router_pb2.PushReport) -> None:
    sent.outcomes = [(one.session, one.node, Outcome.Name(one.outcome)) for one in report.deliveries]
    sent.counts = dict(report.counts)
    sent.healed = report.healed
    sent.registry_away = report.registry_away
