"""Shell: gRPC's health service (grpc.health.v1): one state for everything that is served here."""

import asyncio
from collections.abc import AsyncIterator

from grpc_health.v1 import health_pb2

from router.push import CallRefused

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Health:
    """Whether this router serves."""

    def __init__(self, *services: str) -> None:
        self._services = frozenset(("", *services))
        self._state = NOT_SERVING
        self._changed = asyncio.Event()  # replaced at each change

    def set(self, ready: bool) -> None:
        """From now on this is said."""
        self._state = SERVING if ready else NOT_SERVING
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def check(self, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        """The state of one service; "" is the whole. Refused (NOT_FOUND) for one that is not here."""
        if request.service not in self._services:
            raise CallRefused("NOT_FOUND", f"no service {request.service!r} here", "service")
        return health_pb2.HealthCheckResponse(status=self._state)

    async def watch(self, request: health_pb2.HealthCheckRequest) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now and each change, or SERVICE_UNKNOWN; for as long as the caller listens."""
        while True:
            changed = self._changed
            known = request.service in self._services
            yield health_pb2.HealthCheckResponse(status=self._state if known else UNKNOWN)
            await changed.wait()
