"""A client that says nothing is pinged, and stays."""

import secrets

import pytest

from tests.interop.socketio.clients import Kind, opened
from tests.interop.socketio.rig import HomingRig
from tests.interop.socketio.test_clients import KINDS, QUICK

pytestmark = [pytest.mark.socketio, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="package")]
TELLING = [kind for kind in KINDS if not kind.in_python]  # python-socketio does not tell of pings


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, id=str(kind), marks=[] if kind in QUICK else pytest.mark.slow) for kind in TELLING],
)
async def test_an_idle_client_outlives_three_pings(homing: HomingRig, kind: Kind) -> None:
    user = f"idle-{secrets.token_hex(4)}"
    async with opened(kind, homing.url, homing.auth(user)) as (client,):
        sid = await client.connected()
        for _ in range(3):
            await client.driven.next("pong")
        assert (await homing.backend.push("still", 1, session=sid)).name == "WRITTEN"
        assert (await client.received("still"))["args"] == [1]
