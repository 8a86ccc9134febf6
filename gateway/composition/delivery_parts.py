"""What writes pushes to a gateway's clients."""

from gateway.composition.base import Base
from gateway.composition.registry_parts import RegistryParts
from gateway.delivery.push_writer import PushWriter
from gateway.sessions.acks import Acks
from gateway.wire.socketio import ROOT


class DeliveryParts:
    """What writes pushes, whoever sends them."""

    def __init__(self, base: Base, registry: RegistryParts) -> None:
        self.acks = Acks(lambda: registry.loop.registration.machine)
        self.writer = PushWriter(
            *(base.node_id, base.index, self.acks, base.dedup, base.slow, base.deadlines, base.counters, base.tracer),
            has_namespaces=base.settings.gateway.socketio.namespaces != (ROOT,),
        )
