"""gRPC's health service: Check, and Watch without a task."""

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from router.api.health import Health
from router.push import CallRefused
from runtime.grpc_wire.status import INVALID_ARGUMENT, UNAVAILABLE, StreamEnded

SERVICE = "homing.v1.Router"
NAMES = HealthCheckResponse.ServingStatus


class FakeCall:
    """The states and statuses that were sent."""

    def __init__(self) -> None:
        self.writable = True
        self.sent: list[str] = []
        self.statuses: list[int] = []

    def send(self, message: bytes) -> None:
        self.sent.append(NAMES.Name(HealthCheckResponse.FromString(message).status))

    def end(self, status: int, _why: str) -> None:
        self.statuses.append(status)


def watch(health: Health, service: str = ""):
    call = FakeCall()
    handler = health.watch(call)
    handler.on_message(HealthCheckRequest(service=service).SerializeToString())
    handler.on_half_close()
    return call, handler


async def test_check_is_the_state_now() -> None:
    health, call = Health(SERVICE), FakeCall()
    for ready, state in ((None, "NOT_SERVING"), (True, "SERVING"), (False, "NOT_SERVING")):
        if ready is not None:
            health.set_ready(ready)
        for service in ("", SERVICE):
            response = await health.check(HealthCheckRequest(service=service), call)
            assert NAMES.Name(response.status) == state
    with pytest.raises(CallRefused, match="no service 'other'") as caught:
        await health.check(HealthCheckRequest(service="other"), call)
    assert caught.value.code == "NOT_FOUND"


def test_a_watch_gets_the_state_and_each_change_before_set_ready_returns() -> None:
    health = Health(SERVICE)
    (one, _), (two, gone) = watch(health), watch(health, SERVICE)
    health.set_ready(True)
    health.set_ready(True)
    gone.on_end(StreamEnded(0, ""))
    health.set_ready(False)
    assert one.sent == ["NOT_SERVING", "SERVING", "NOT_SERVING"]
    assert two.sent == ["NOT_SERVING", "SERVING"]


def test_an_unknown_service_stays_unknown() -> None:
    health = Health(SERVICE)
    call, _ = watch(health, "other")
    health.set_ready(True)
    assert (call.sent, call.statuses) == (["SERVICE_UNKNOWN"], [])


def test_a_caller_that_reads_slowly_gets_the_newest_state() -> None:
    health = Health(SERVICE)
    call, handler = watch(health)
    call.writable = False
    health.set_ready(True)
    health.set_ready(False)
    health.set_ready(True)
    assert call.sent == ["NOT_SERVING"]
    call.writable = True
    handler.on_writable()
    assert call.sent == ["NOT_SERVING", "SERVING"]


def test_close_sends_not_serving_before_it_ends_every_watch() -> None:
    health = Health(SERVICE)
    health.set_ready(True)
    call, _ = watch(health)
    health.close()
    assert (call.sent, call.statuses) == (["SERVING", "NOT_SERVING"], [UNAVAILABLE])


def test_a_watch_takes_one_message() -> None:
    health = Health(SERVICE)
    _, handler = watch(health)
    with pytest.raises(StreamEnded) as caught:
        handler.on_message(b"")
    assert caught.value.status == INVALID_ARGUMENT
    with pytest.raises(StreamEnded, match="not a HealthCheckRequest"):
        health.watch(FakeCall()).on_message(b"\xff")
    call = FakeCall()
    health.watch(call).on_half_close()
    assert call.statuses == [INVALID_ARGUMENT]
