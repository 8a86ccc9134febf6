"""The way out: nobody new, every client asked to reconnect and closed, the registry told, and an end in any case."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway import draining
from gateway.door.handshake import HandshakeLimits
from gateway.door.listener import ClientListener
from gateway.door.routes import Routes
from gateway.door.values import Arrival, Refusal
from gateway.draining import Drain
from observability import names
from observability.counters import counters
from registry.keys import Keys
from registry.store import StoreUnavailable
from tests.support.gateway import ADDRESS, JSON, GatewayRig, gateway_rig, received_by
from tests.support.wire import connection_of, identity, leave, transport_of


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewayRig]:
    monkeypatch.setattr(draining, "SLOWEST_PACE", 1e9)
    monkeypatch.setattr(draining, "MOVE_WITHIN", 0.0)
    async with gateway_rig() as made:
        yield made


def drain_of(rig: GatewayRig, limit: float = 60.0, report: Callable[[], None] = lambda: None) -> Drain:
    listener = ClientListener(Routes({}), HandshakeLimits(), counters(names.GATEWAY))
    return Drain(
        listener, rig.admission, rig.authentication.close_waiting, rig.lifecycle, rig.index, rig.loop, report, limit
    )


async def closed(rig: GatewayRig, *users: str) -> None:
    """Until these users' clients have been closed."""
    while not all(transport_of(session).closing for user in users for session in rig.index.user(user)):
        await asyncio.sleep(0)


async def test_clients_are_asked_to_reconnect_and_closed_and_the_drain_ends_with_the_last_of_them(
    rig: GatewayRig,
) -> None:
    ada, bob = await rig.session("ada"), await rig.session("bob")
    running = asyncio.ensure_future(drain_of(rig).run())
    await closed(rig, "ada", "bob")
    assert received_by(ada)[-1]["type"] == "reconnect"
    assert (transport_of(ada).closing or (0,))[0] == 1012
    refusal = await rig.authentication.enter(Arrival(JSON, identity(), (), ADDRESS))
    assert isinstance(refusal, Refusal)
    leave(ada)
    await asyncio.sleep(0)
    assert not running.done()
    leave(bob)
    await running


async def test_a_client_that_can_moves_by_itself_and_one_that_cannot_is_closed_at_once(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "MOVE_WITHIN", 60.0)
    ada, bob = await rig.session("ada"), await rig.session("bob", bare=True)
    moving = transport_of(ada)
    running = asyncio.ensure_future(drain_of(rig, limit=1000.0).run())
    await closed(rig, "bob")
    assert received_by(ada)[-1]["type"] == "reconnect"
    assert moving.closing is None, "pushes to it still go here"
    leave(bob)
    leave(ada)
    await running
    assert moving.closing is None


async def test_a_connection_that_carries_two_sessions_is_closed_once_and_those_without_one_are_passed_over(
    rig: GatewayRig,
) -> None:
    ada = await rig.session("ada")
    connection = connection_of(ada)
    registering = await rig.admission.admit(Arrival(JSON, identity("eve"), (), ADDRESS), identity("eve"), ())
    assert not isinstance(registering, Refusal)
    assert drain_of(rig)._connections() == [connection]


async def test_clients_that_have_not_authenticated_are_closed_too(rig: GatewayRig) -> None:
    _, transport = await rig.unauthenticated()
    await drain_of(rig).run()
    assert (transport.closing or (0,))[0] == 1012


async def test_what_waits_for_acks_is_reported_before_the_incarnation_is_given_back(rig: GatewayRig) -> None:
    alive: list[bool] = []
    await drain_of(rig, report=lambda: alive.append(rig.loop.registration.lease.fenced)).run()
    assert alive == [False]
    assert rig.loop.registration.lease.fenced


async def test_a_client_that_does_not_go_ends_no_drain(rig: GatewayRig, caplog: pytest.LogCaptureFixture) -> None:
    await rig.session("ada")
    await drain_of(rig, limit=0.001).run()
    assert "some clients did not close in time" in caplog.text
    assert len(rig.index.sessions) == 1


async def test_a_limit_of_no_seconds_still_closes_the_clients(rig: GatewayRig) -> None:
    ada = await rig.session("ada")
    await drain_of(rig, limit=0.0).run()
    assert (transport_of(ada).closing or (0,))[0] == 1012


async def test_the_registry_knows_of_the_drain_before_the_incarnation_is_given_back(rig: GatewayRig) -> None:
    key = Keys("c").node("node-1")
    ada = await rig.session("ada")
    running = asyncio.ensure_future(drain_of(rig).run())
    while (entry := await rig.store.get(key)) is not None and b'"draining":true' not in entry.value:
        await asyncio.sleep(0)
    assert entry is not None
    leave(ada)
    await running
    assert await rig.store.get(key) is None


@pytest.mark.parametrize(
    ("error", "named"), [(StoreUnavailable("etcd is away"), "etcd is away"), (TimeoutError(), "no answer")]
)
async def test_a_registry_that_is_away_holds_up_no_drain(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, named: str
) -> None:
    async def fail() -> None:
        raise error

    monkeypatch.setattr(rig.loop, "drain", fail)
    ada = await rig.session("ada")
    running = asyncio.ensure_future(drain_of(rig).run())
    await closed(rig, "ada")
    leave(ada)
    await running
    assert f"the registry could not be told of the drain: {named}" in caplog.text
