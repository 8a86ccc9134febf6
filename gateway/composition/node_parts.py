"""What serves clients of Engine.IO and Socket.IO, with the help of other gateways."""

from gateway.access import Access
from gateway.admission import Admission
from gateway.client_commands import ClientCommands
from gateway.composition.base import Base
from gateway.composition.delivery_parts import DeliveryParts
from gateway.composition.registry_parts import RegistryParts
from gateway.door.address_limit import AddressLimit
from gateway.engineio.connections import EngineConnections
from gateway.engineio.transport import EngineTransport
from gateway.nodes import acknowledgements, relays, take_over
from gateway.nodes.acknowledgements import AckForwarder, AckHandler
from gateway.nodes.channels import NodeChannels
from gateway.nodes.hand_over import HandOverHandler, HandOvers
from gateway.nodes.owners import OtherNodes
from gateway.nodes.relay_server import RelayHandler
from gateway.nodes.relays import Relays
from gateway.nodes.take_over import TakeOvers
from gateway.session_commands import SessionCommands
from gateway.sessions.rates import MessageRates
from gateway.socketio.admission import SocketIoAdmission
from gateway.socketio.services import Services
from runtime.grpc_wire.server import MakeStreamHandler

Engines = EngineConnections[EngineTransport]


class NodeParts:
    """What serves clients of Engine.IO and Socket.IO: their connections, and what other nodes do for them."""

    def __init__(
        self,
        base: Base,
        registry: RegistryParts,
        delivery: DeliveryParts,
        access: Access,
        addresses: AddressLimit,
        admission: Admission,
        sessions: SessionCommands,
        commands: ClientCommands,
        rates: MessageRates,
    ) -> None:
        section, tasks, deadlines = base.settings.gateway, base.tasks, base.deadlines
        self.engines = Engines()
        self.channels = NodeChannels(registry.directory, access.secret)
        acks = AckForwarder(delivery.acks, self.channels, tasks)
        services = Services(
            *(frozenset(section.socketio.namespaces), admission, sessions, access.tokens.verify, acks, rates),
            *(deadlines, tasks, section.max_message, set()),
        )
        self.socketio = SocketIoAdmission(services, section.slow)
        take_overs = TakeOvers(
            *(self.engines, addresses, services, commands, admission, sessions, base.dedup),
            *(section.slow, deadlines, tasks, base.counters),
        )
        self.owners = OtherNodes(self.channels, Relays(self.channels, tasks, base.counters), take_overs)
        self._hand_overs = HandOvers(self.engines, sessions, base.dedup, deadlines, registry.lease.is_held)
        self._acks = delivery.acks

    def methods(self) -> dict[str, MakeStreamHandler]:
        """What other nodes may call here."""
        return {
            relays.PATH: lambda call: RelayHandler(self.engines, call),
            take_over.PATH: lambda call: HandOverHandler(self._hand_overs, call),
            acknowledgements.PATH: lambda call: AckHandler(self._acks, call),
        }
