"""Core: the Engine.IO connections of this node, by their ids."""

from typing import Generic, Protocol, TypeVar

from gateway.engineio.ids import NOBODY, ConnectionId


class Identified(Protocol):
    """What the table needs of a connection."""

    id: ConnectionId


C = TypeVar("C", bound=Identified)


class EngineConnections(Generic[C]):
    """One for a node."""

    def __init__(self) -> None:
        self._connections: dict[int, C] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: C) -> None:
        """A new connection."""
        self._connections[connection.id.number] = connection

    def remove(self, connection: C) -> None:
        """It is over; one that is not here is no error."""
        self._connections.pop(connection.id.number, None)

    def find(self, id: ConnectionId) -> C | None:
        """The connection with this id and secret. Unknown and guessed ids take the same time."""
        found = self._connections.get(id.number)
        known = NOBODY if found is None else found.id
        return found if known.has_secret(id.secret) and found is not None else None
