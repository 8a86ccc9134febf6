"""Shell: the other nodes, as the way in of Engine.IO sees them (`gateway.engineio.owners.ConnectionOwners`)."""

import asyncio

from gateway.engineio.exchange import HttpExchange
from gateway.engineio.ids import ConnectionId
from gateway.engineio.websocket import UpgradeTarget
from gateway.nodes.channels import NodeChannels
from gateway.nodes.relays import Relays
from gateway.nodes.take_over import PATH, RemoteUpgrade, TakeOvers

BEGIN_SECONDS = 2.0  # for the owner to say whether it has the connection


class OtherNodes:
    """One for a node."""

    def __init__(self, channels: NodeChannels, relays: Relays, take_overs: TakeOvers) -> None:
        self._channels = channels
        self._relays = relays
        self._take_overs = take_overs

    def knows(self, id: ConnectionId) -> bool:
        return self._channels.knows(id.machine)

    def relay_poll(self, exchange: HttpExchange, id: ConnectionId) -> None:
        self._relays.relay_poll(exchange, id)

    def relay_post(self, exchange: HttpExchange, id: ConnectionId, body: bytes) -> None:
        self._relays.relay_post(exchange, id, body)

    async def find_upgrade(self, id: ConnectionId) -> UpgradeTarget | None:
        upgrade = RemoteUpgrade(self._take_overs, id)
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                upgrade.begin(await self._channels.call(id.machine, PATH, upgrade))
                return upgrade if await upgrade.known else None
        except (OSError, TimeoutError):
            upgrade.give_up()
            return None
