"""Parts of a simulated gateway that record what cannot be seen from outside, and stand-ins for what it does not use."""

from collections.abc import Callable

from gateway.delivery.router_stream import RouterStream
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.session_registration import Commits, SessionRegistration
from registry.lease_state import FencingAnswer, LeaseTracker
from registry.registrar import StoreRegistrar
from registry.registration import StoreRegistration
from tests.simulation.history import History, IncarnationEnd, Restored
from tests.simulation.loop import ProcessLoop


class NoEvents:
    """An `EventSink` that takes everything and keeps nothing."""

    def publish(self, record: object) -> bool:
        return True

    def publish_own(self, record: object) -> None: ...

    def full(self) -> bool:
        return False

    async def wait_room(self) -> None: ...


class RecordedBarrier(RouteAckBarrier):
    """`reached`: the routers that do not lag when a wait ends, so that their tables hold its batch. (One that lags
    scatters as soon as it knows.)"""

    reached: frozenset[str] = frozenset()

    async def wait_reachable(self, batch: int) -> bool:
        in_time = await super().wait_reachable(batch)
        streams: dict[RouterStream, int] = self._held  # type: ignore[assignment]
        self.reached = frozenset(stream.router for stream in streams if stream not in self._lagging)
        return in_time


class RecordedSessions(SessionRegistration):
    """A wait that has no commit has reached nobody."""

    async def wait_reachable(self, commits: Commits) -> bool:
        committed = await super().wait_reachable(commits)
        if not committed:
            self._barrier.reached = frozenset()  # type: ignore[attr-defined]
        return committed


class RecordedLease(LeaseTracker):
    """Records when the node knows that its incarnation is over."""

    __slots__ = ("_on_fenced",)

    def __init__(self, ttl: float, sent: float, on_fenced: Callable[[], None]) -> None:
        super().__init__(ttl, sent)
        self._on_fenced = on_fenced

    def on_fencing_answer(self, answer: FencingAnswer, queried: float) -> None:
        super().on_fencing_answer(answer, queried)
        if answer is FencingAnswer.FENCED:
            self._on_fenced()

    def set_fenced(self) -> None:
        super().set_fenced()
        self._on_fenced()


class RecordedRegistrar(StoreRegistrar):
    """Begins incarnations whose end is recorded."""

    history: History
    loop: ProcessLoop
    barrier: RecordedBarrier

    async def begin(self) -> StoreRegistration:
        return self._recorded(await super().begin())

    async def begin_again(self, machine: int) -> StoreRegistration:
        return self._recorded(await super().begin_again(machine))

    def _recorded(self, registration: StoreRegistration) -> StoreRegistration:
        node, epoch = registration.incarnation

        def on_fenced() -> None:
            self.history.ends.append(IncarnationEnd(node, epoch, "node", self.loop.time()))

        registration.lease = RecordedLease(self._settings.ttl, registration.lease._sent, on_fenced)
        set_restored = registration.set_restored

        def on_restored() -> None:
            set_restored()
            self.history.restored.append(Restored(node, epoch, self.loop.time(), self.barrier.reached))

        registration.set_restored = on_restored  # type: ignore[method-assign]
        return registration
