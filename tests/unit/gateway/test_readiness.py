"""What a gateway's `/readyz` names: what it needs and lacks, and what it lacks and goes on without."""

from typing import Any

import pytest

from gateway.readiness import LEASE_OVER, GatewayReadiness
from registry.lease_state import LeaseState


class State:
    """The parts of a gateway that are looked at, as values."""

    def __init__(self, **changed: Any) -> None:
        self.is_open = True
        self.lease = LeaseState.HELD
        self.is_unregistered = False
        self.is_full = False
        self.routers: list[str] = ["r1"]
        self.store = ""
        self.buses: list[str] = []
        vars(self).update(changed)

    def full(self) -> bool:
        return self.is_full

    def unregistered(self) -> bool:
        return self.is_unregistered

    async def wait_lease_state(self) -> LeaseState:
        return self.lease

    def readiness(self) -> GatewayReadiness:
        parts: Any = self
        return GatewayReadiness(parts, parts, parts, self.routers, lambda: self.store, lambda: self.buses)


async def test_a_gateway_with_everything_names_nothing() -> None:
    assert (await State().readiness().check()).as_json() == {"ready": True, "why": "", "degraded": []}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"is_open": False}, "starting, or draining"),
        ({"lease": LeaseState.LAPSED}, LEASE_OVER),
        ({"lease": LeaseState.FENCED}, LEASE_OVER),
        ({"is_full": True}, "buffer of client events is full"),
    ],
)
async def test_what_refuses_clients_makes_a_gateway_not_ready(changed: dict[str, Any], named: str) -> None:
    readiness = await State(**changed).readiness().check()
    assert not readiness.ready
    assert named in readiness.missing[0]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"routers": []}, "no router has opened a stream"),
        ({"store": "etcd at a:1 does not answer", "lease": LeaseState.AWAY}, "etcd at a:1 does not answer"),
        ({"is_unregistered": True}, "sessions wait for the registry"),
        ({"buses": ["bus.redis: x does not answer"]}, "bus.redis: x does not answer"),
    ],
)
async def test_what_a_gateway_goes_on_without_is_named(changed: dict[str, Any], named: str) -> None:
    readiness = await State(**changed).readiness().check()
    assert readiness.ready
    assert named in readiness.degraded[0]


async def test_what_is_missing_does_not_hide_what_else_is_away() -> None:
    state = State(is_open=False, routers=[], store="etcd", buses=["Redis", "Kafka"], is_unregistered=True)
    assert len((await state.readiness().check()).degraded) == 5
