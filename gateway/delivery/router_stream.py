"""One router's stream on this node: what has gathered for it, and what its clock tells."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.delivery.transit import Transit
from homing.internal.v1 import node_pb2
from registry.model import Incarnation

OPEN_CALLS = 8192  # calls a router may have open on one stream before we stop reading from it


def _nobody() -> None:
    """Nothing carries the link yet."""


class RequestWrite(Protocol):
    """Hears that something has gathered; `patient`: it may wait for company."""

    def __call__(self, linger: bool = False) -> None: ...


def _nobody_waits(linger: bool = False) -> None:
    """Nothing carries the link yet."""


class RouterStream:
    """Answers gather here while the previous message is being written. What carries the link sets its two hooks."""

    def __init__(self, router: str, epoch: int) -> None:
        self.router = router
        self.epoch = epoch
        self.transit = Transit()
        self.sends_stats = False
        self.held: deque[node_pb2.RouterMessage] = deque()  # read while the lease may be over
        self.open_calls = 0
        self.request_write: RequestWrite = _nobody_waits  # something has gathered
        self.on_room: Callable[[], None] = _nobody  # `room` is true again
        self._out = node_pb2.NodeMessage()
        self._taken: set[int] = set()  # published pushes with receivers here, of which that has not been said yet
        self._query = 0  # the number of the last fencing question
        self._asked: float | None = None  # when it left, while it is open

    def hello(self, incarnation: Incarnation) -> None:
        """Say who is here: the first thing that a router hears."""
        self._out.hello.node, self._out.hello.epoch = incarnation
        self.request_write()

    def opened(self, calls: int) -> None:
        """So many calls are being carried out. Those that are held count only when they are taken: the word that
        frees them comes on the same stream, so reading must go on."""
        self.open_calls += calls

    @property
    def room(self) -> bool:
        """Whether the router has few enough open calls that more may be read."""
        return self.open_calls < OPEN_CALLS

    def answerer(self, push: node_pb2.Push) -> Callable[[node_pb2.PushAnswer], None]:
        """How this push is answered."""
        return self.answer_lingering if push.linger else self.answer_push

    def answer_push(self, answer: node_pb2.PushAnswer) -> None:
        self._out.pushes.append(answer)
        self._answered()

    def answer_lingering(self, answer: node_pb2.PushAnswer) -> None:
        """The same; the answer may wait for company."""
        self._out.pushes.append(answer)
        self._answered(linger=True)

    def answer_request(self, answer: node_pb2.NodeResponse) -> None:
        self._out.responses.append(answer)
        self._answered()

    # Pushes that came over the bus (`gateway.delivery.bus_endpoint`) ------------------------------------------------

    def begin_handled(self) -> None:
        """From now on this stream tells of each push of this router that comes off the bus."""
        self._out.handled.begins = True
        self.request_write()

    def take_published(self, call: int) -> None:
        """A published push has receivers here: its answer follows, perhaps before this has left."""
        self._taken.add(call)

    def answer_published(self, answer: node_pb2.PushAnswer, linger: bool = False) -> None:
        self._taken.discard(answer.call)
        self._out.handled.answers.append(answer)
        self.request_write(linger)

    def handled(self, first: int, last: int) -> None:
        """All published pushes from `first` to `last` were handled; it leaves with whatever next leaves."""
        spans = self._out.handled.spans
        if spans and spans[-1].last + 1 == first:
            spans[-1].last = last
        else:
            spans.add(first=first, last=last)

    @property
    def unsaid(self) -> bool:
        """Whether something is handled that the router has not heard of."""
        return bool(self._out.handled.spans)

    def say_stats(self, stats: node_pb2.Stats) -> None:
        """What this node counts, for a router that wants it."""
        self._out.stats.CopyFrom(stats)
        self.request_write()

    def pong(self, ping: int) -> None:
        self._out.pong = ping
        self.request_write()

    def unregistered(self, any: bool) -> None:
        """Say whether this node holds sessions or files that etcd does not know."""
        self._out.unregistered.any = any
        self.request_write()

    def query_fencing(self, now: float) -> bool:
        """Ask whether this node is still alive; False when the last question is still open."""
        if self._asked is not None:
            return False
        self._query += 1
        self._asked = now
        self._out.fencing_queries.add(query=self._query)
        self.request_write()
        return True

    def fencing_answered(self, ask: int) -> float | None:
        """When the question that this answers left; None when it is not the open one."""
        if ask != self._query:
            return None
        asked, self._asked = self._asked, None
        return asked

    def take(self) -> node_pb2.NodeMessage:
        """What has gathered."""
        out, self._out = self._out, node_pb2.NodeMessage()
        if self._taken:
            out.handled.taken.extend(self._taken)
            self._taken.clear()
        return out

    def _answered(self, linger: bool = False) -> None:
        self.open_calls -= 1
        if self.open_calls == OPEN_CALLS - 1:
            self.on_room()
        self.request_write(linger)
