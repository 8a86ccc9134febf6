from collections.abc import AsyncIterator

import pytest

from tests.support.gateway import GatewayRig, gateway_rig


@pytest.fixture
async def rig() -> AsyncIterator[GatewayRig]:
    async with gateway_rig() as made:
        yield made
