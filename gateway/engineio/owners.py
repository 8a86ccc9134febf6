"""The contract between the way in and the other nodes: requests for connections that this node does not own."""

from typing import Protocol

from gateway.engineio.exchange import HttpExchange
from gateway.engineio.ids import ConnectionId
from gateway.engineio.websocket import UpgradeTarget


class ConnectionOwners(Protocol):
    """The other nodes (`gateway.nodes.owners`)."""

    def knows(self, id: ConnectionId) -> bool:
        """Whether another node may own it: then it is asked, once."""
        ...

    def relay_poll(self, exchange: HttpExchange, id: ConnectionId) -> None:
        """Relay a GET to the owner, and its answer back."""
        ...

    def relay_post(self, exchange: HttpExchange, id: ConnectionId, body: bytes) -> None:
        """Relay a POST."""
        ...

    async def find_upgrade(self, id: ConnectionId) -> UpgradeTarget | None:
        """The connection, if its owner may hand it over to a WebSocket here. None: it is unknown."""
        ...
