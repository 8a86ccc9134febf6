"""Core: one router's stream on this node: the answers that have gathered for it, and its clock's offset."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.delivery.push_job import OnAnswer
from gateway.delivery.transit import Transit
from homing.internal.v1 import node_pb2
from registry.model import Incarnation

OPEN_CALLS = 8192  # calls a router may have open on one stream before reading from it stops


class RequestWrite(Protocol):
    """Asks the transport to write what has gathered; with `linger` the write may wait for more."""

    def __call__(self, linger: bool = False) -> None: ...


class RouterStream:
    """Answers gather here while the previous message is being written."""

    def __init__(
        self,
        router: str,
        incarnation: Incarnation,
        request_write: RequestWrite,
        resume_reading: Callable[[], None],
    ) -> None:
        """`router`: the name in its hello. `incarnation`: the one of this node that the stream means. `resume_reading`
        is called when `has_room` is true again. The first message to the router names this node."""
        self.router = router
        self.epoch = incarnation.epoch
        self.transit = Transit()
        self.sends_stats = False
        self.held: deque[node_pb2.RouterMessage] = deque()  # read while the lease may be over
        self.open_calls = 0
        self._request_write = request_write
        self._resume_reading = resume_reading
        self._out = node_pb2.NodeMessage()
        self._taken: set[int] = set()  # published pushes with receivers here that were not reported as such yet
        self._unregistered = self._lags = False  # why the router must scatter to this node
        self._query = 0  # the number of the last fencing query
        self._queried: float | None = None  # when it was sent, while it is open
        self._out.hello.node, self._out.hello.epoch = incarnation

    def announce(self, broadcasts: bool) -> None:
        """Tell the router this node's delivery mode, in the hello."""
        self._out.hello.broadcast = broadcasts

    def opened(self, calls: int) -> None:
        """So many calls are being carried out. Those that are held count only when they are taken: the answer that
        frees them comes on the same stream, so reading must go on."""
        self.open_calls += calls

    @property
    def has_room(self) -> bool:
        """Whether the router has few enough open calls that more may be read."""
        return self.open_calls < OPEN_CALLS

    def answerer(self, push: node_pb2.Push) -> OnAnswer:
        """How this push is answered."""
        return self.answer_lingering if push.linger else self.answer_push

    def answer_push(self, answer: node_pb2.PushAnswer) -> None:
        """The answer to a push; it leaves at the end of this iteration of the loop."""
        self._out.pushes.append(answer)
        self._answered()

    def answer_lingering(self, answer: node_pb2.PushAnswer) -> None:
        """The answer to a push; it may linger, to leave with others."""
        self._out.pushes.append(answer)
        self._answered(linger=True)

    def answer_request(self, response: node_pb2.NodeResponse) -> None:
        """The response to a node request."""
        self._out.responses.append(response)
        self._answered()

    # Pushes that came over the bus (`gateway.delivery.bus_endpoint`) ------------------------------------------------

    def begin_handled(self) -> None:
        """From now on this stream reports each push of this router that comes off the bus."""
        self._out.handled.begins = True
        self._request_write()

    def take_published(self, call: int) -> None:
        """A published push has receivers here: its answer follows, perhaps before this has left."""
        self._taken.add(call)

    def answer_published(self, answer: node_pb2.PushAnswer, linger: bool = False) -> None:
        """The answer to a published push."""
        self._taken.discard(answer.call)
        self._out.handled.answers.append(answer)
        self._request_write(linger)

    def handled(self, first: int, last: int) -> None:
        """All published pushes from `first` to `last` were handled; this leaves with whatever next leaves."""
        spans = self._out.handled.spans
        if spans and spans[-1].last + 1 == first:
            spans[-1].last = last
        else:
            spans.add(first=first, last=last)

    def flush_handled(self) -> None:
        """Write, if there are handled pushes that the router does not know of."""
        if self._out.handled.spans:
            self._request_write()

    # Everything else ------------------------------------------------------------------------------------------------

    def send_stats(self, stats: node_pb2.Stats) -> None:
        """What this node counts, for a router that asked for it."""
        self._out.stats.CopyFrom(stats)
        self._request_write()

    def pong(self, ping: int) -> None:
        """The answer to the router's ping."""
        self._out.pong = ping
        self._request_write()

    def unregistered(self, any: bool) -> None:
        """Whether this node has sessions or files that etcd does not know."""
        self._unregistered = any
        self._send_unregistered()

    def set_lagging(self, lags: bool) -> None:
        """Whether this node has sessions or files that the router's table does not have, although clients were told."""
        self._lags = lags
        self._send_unregistered()

    def _send_unregistered(self) -> None:
        self._out.unregistered.any = self._unregistered or self._lags
        self._request_write()

    def query_fencing(self, now: float) -> bool:
        """Ask whether this node is still alive; False when the last query is still open."""
        if self._queried is not None:
            return False
        self._query += 1
        self._queried = now
        self._out.fencing_queries.add(query=self._query)
        self._request_write()
        return True

    def fencing_answered(self, query: int) -> float | None:
        """When the query that this answers was sent; None when it is not the open one."""
        if query != self._query:
            return None
        queried, self._queried = self._queried, None
        return queried

    def take(self) -> node_pb2.NodeMessage:
        """What has gathered, to be written now."""
        out, self._out = self._out, node_pb2.NodeMessage()
        if self._taken:
            out.handled.taken.extend(self._taken)
            self._taken.clear()
        return out

    def _answered(self, linger: bool = False) -> None:
        self.open_calls -= 1
        if self.open_calls == OPEN_CALLS - 1:
            self._resume_reading()
        self._request_write(linger)
