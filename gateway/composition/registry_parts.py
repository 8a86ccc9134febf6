"""What keeps a gateway and its sessions in the registry."""

from collections.abc import Callable

from gateway import adapters
from gateway.composition.base import Base
from gateway.delivery.router_streams import RouterStreams, set_lagging
from gateway.registration.barrier import RouteAckBarrier
from gateway.registration.lease_gate import LeaseGate
from gateway.registration.loop import RegistrationLoop
from gateway.registration.session_registration import SessionRegistration
from registry.model import Node
from registry.node_directory import NodeDirectory
from registry.registrar import StoreRegistrar, boottime
from runtime.process.pauses import Pauses


class RegistryParts:
    """What keeps this node and its sessions in the registry."""

    def __init__(self, base: Base, node: Callable[[int], Node]) -> None:
        """`node` makes the node's value in the registry, given its machine id."""
        self.barrier = RouteAckBarrier(on_lag=set_lagging)
        self.streams = RouterStreams(base.counters, boottime)
        self.store = adapters.store(base.settings)
        settings = base.settings.registry
        registrar = StoreRegistrar(self.store, settings, base.node_id, node, self.streams.notify_unregistered)
        self.pauses = Pauses(boottime)
        self.loop = RegistrationLoop(registrar, base.index, self.barrier, base.counters, self.pauses)
        self.lease = LeaseGate(self.loop, self.streams)
        self.sessions = SessionRegistration(self.loop, base.index, self.barrier, base.counters)
        self.directory = NodeDirectory(self.store, settings.cluster)
