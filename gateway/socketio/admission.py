"""Socket.IO's clients come in without a session: each namespace that they connect to becomes one."""

from gateway.close_codes import DRAINING
from gateway.door.values import Arrival, Refusal
from gateway.sessions.budget import Budget
from gateway.sessions.connection import Connection
from gateway.socketio.client import SocketIoClient
from gateway.socketio.services import Services


class SocketIoAdmission:
    """Makes the connections of clients of Socket.IO (a `gateway.door.ports.AdmissionPort`)."""

    def __init__(self, services: Services, budget: Budget) -> None:
        self._services = services
        self._budget = budget

    async def enter(self, arrival: Arrival) -> Connection | Refusal:
        """See the port. The client is judged once more at each CONNECT."""
        refusal = await self._services.admission.check(0)
        return refusal or Connection(SocketIoClient(self._services, arrival), self._budget)

    def close_waiting(self) -> None:
        """This node drains: clients without a namespace should connect elsewhere."""
        for connection in list(self._services.waiting):
            connection.close(DRAINING)
