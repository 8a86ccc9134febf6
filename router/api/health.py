"""Shell: gRPC's health service (grpc.health.v1). All services of a router have one state."""

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from router.push import CallRefused
from runtime.grpc_wire.call import Call, StreamHandler
from runtime.grpc_wire.status import INVALID_ARGUMENT, UNAVAILABLE, StreamEnded

SERVING: int = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Health:
    """Whether this router serves: not before the first `set_ready`, and not after `close`."""

    def __init__(self, *services: str) -> None:
        """`services`: full names; "" means the whole server and is always known."""
        self._services = frozenset(("", *services))
        self._state = NOT_SERVING
        self._watches: set[HealthWatchHandler] = set()

    def set_ready(self, ready: bool) -> None:
        """Change the state, and send it to every watch before this returns."""
        self._state = SERVING if ready else NOT_SERVING
        for watch in list(self._watches):
            watch.send_state()

    def close(self) -> None:
        """Send NOT_SERVING to every watch, then end each with UNAVAILABLE."""
        self.set_ready(False)
        for watch in list(self._watches):
            watch.close()

    def state(self, service: str) -> int:
        """The state of one service, or SERVICE_UNKNOWN."""
        return self._state if service in self._services else SERVICE_UNKNOWN

    async def check(self, request: health_pb2.HealthCheckRequest, _call: Call) -> health_pb2.HealthCheckResponse:
        """The state of one service. Raises CallRefused, NOT_FOUND, for a service that is not here."""
        state = self.state(request.service)
        if state == SERVICE_UNKNOWN:
            raise CallRefused("NOT_FOUND", f"no service {request.service!r} here", "service")
        return health_pb2.HealthCheckResponse(status=state)

    def watch(self, call: Call) -> StreamHandler:
        """Serve one Watch call."""
        return HealthWatchHandler(call, self, self._watches)


class HealthWatchHandler:
    """One Watch call, without a task: the state now, then each change. A caller that reads slowly skips changes."""

    def __init__(self, call: Call, health: Health, watches: "set[HealthWatchHandler]") -> None:
        """`watches`: this handler is in the set from its request to its end."""
        self._call = call
        self._health = health
        self._watches = watches
        self._service = ""
        self._sent: int | None = None

    def on_message(self, message: bytes) -> None:
        if self in self._watches:
            raise StreamEnded(INVALID_ARGUMENT, "this call takes one message")
        try:
            self._service = health_pb2.HealthCheckRequest.FromString(message).service
        except DecodeError:
            raise StreamEnded(INVALID_ARGUMENT, "not a HealthCheckRequest") from None
        self._watches.add(self)
        self.send_state()

    def on_writable(self) -> None:
        self.send_state()

    def on_half_close(self) -> None:
        if self not in self._watches:
            self._call.end(INVALID_ARGUMENT, "this call takes one message")

    def on_end(self, how: StreamEnded) -> None:
        self._watches.discard(self)

    def send_state(self) -> None:
        """Send the state if it has changed and the stream is writable."""
        state = self._health.state(self._service)
        if state != self._sent and self in self._watches and self._call.writable:
            self._sent = state
            self._call.send(health_pb2.HealthCheckResponse(status=state).SerializeToString())

    def close(self) -> None:
        """End the call."""
        self._call.end(UNAVAILABLE, "the router stops")
