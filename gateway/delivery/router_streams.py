"""The routers' streams that are open on this node."""

from collections.abc import Callable, Hashable, Iterator

from gateway.delivery.router_stream import RouterStream
from observability.counters import Counters


def set_lagging(stream: Hashable, lags: bool) -> None:
    """Tell one router whether its table lags behind this node's sessions, so that it must scatter here."""
    if isinstance(stream, RouterStream):  # the barrier knows routers by their streams
        stream.set_lagging(lags)


class RouterStreams:
    """Every open stream; what goes to all routers goes through here."""

    def __init__(self, counters: Counters, clock: Callable[[], float]) -> None:
        """`clock`: seconds, the registrar's own clock, for fencing queries."""
        self._counters = counters
        self._clock = clock
        self._streams: set[RouterStream] = set()

    def __iter__(self) -> Iterator[RouterStream]:
        return iter(self._streams)

    def add(self, stream: RouterStream) -> None:
        """A router has opened its stream."""
        self._streams.add(stream)

    def discard(self, stream: RouterStream) -> None:
        """The stream has ended."""
        self._streams.discard(stream)

    def notify_unregistered(self, any: bool) -> None:
        """Tell every router whether it must scatter to this node."""
        for stream in self._streams:
            stream.unregistered(any)

    def query_fencing(self) -> bool:
        """Ask every router whether this node is alive; False when there is none."""
        for stream in self._streams:
            self.query_fencing_of(stream)
        return bool(self._streams)

    def query_fencing_of(self, stream: RouterStream) -> None:
        """Ask one router, unless a query to it is open already."""
        if stream.query_fencing(self._clock()):
            self._counters.fencing_queries += 1
