"""The gateway that holds a client is killed: the client comes to another one by itself."""

import secrets

import pytest

from tests.interop.socketio.clients import Kind, opened
from tests.interop.socketio.rig import HomingRig
from tests.interop.socketio.test_clients import ALL_KINDS

NOTICED_WITHIN = 20.0  # seconds; a client itself gives up after the time between two pings and its timeout

pytestmark = [pytest.mark.socketio, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="package")]


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_a_client_is_back_after_its_gateway_was_killed(homing: HomingRig, kind: Kind) -> None:
    user = f"lost-{secrets.token_hex(4)}"
    file = f"doc-{user}"
    async with opened(kind, homing.url, homing.auth(user, file)) as (client,):
        before = await client.connected()
        await client.emit("settled")  # by the last transport: with it the connection may have moved to another gateway
        await homing.backend.event(user)
        report = await homing.homing.push_for_report("hello", user=user)
        (node,) = (delivery.node for delivery in report.deliveries)
        await homing.gateway(node).kill()
        try:
            assert (await client.next("disconnect", within=NOTICED_WITHIN))["active"] is True
            after = await client.connected()
            assert after != before
            assert (await homing.backend.push("again", session=after)).name == "WRITTEN"
            await client.received("hello")
            await client.received("again")
            await client.emit("back")
            assert (await homing.backend.event(user))[:3] == (after, "/", "back")
        finally:
            await homing.replace(node)
