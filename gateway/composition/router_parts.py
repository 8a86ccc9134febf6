"""What serves routers: the node port and, in broadcast mode, the bus."""

from collections.abc import Callable

from gateway import adapters
from gateway.access import Access
from gateway.composition.base import Base
from gateway.composition.client_parts import ClientParts
from gateway.composition.delivery_parts import DeliveryParts
from gateway.composition.registry_parts import RegistryParts
from gateway.delivery.bus_endpoint import BusEndpoint
from gateway.delivery.node_requests import NodeRequestHandler
from gateway.delivery.node_server import NodeServer
from gateway.delivery.router_endpoint import NoObserver, RouterEndpoint
from homing.internal.v1 import node_pb2


class RouterParts:
    """What serves routers: the node port and, in broadcast mode, the bus."""

    def __init__(
        self,
        base: Base,
        registry: RegistryParts,
        delivery: DeliveryParts,
        clients: ClientParts,
        access: Access,
        stats: Callable[[], node_pb2.Stats],
    ) -> None:
        counted, writer = base.counters, delivery.writer
        subscriber = adapters.subscriber(base.settings)
        self.bus = BusEndpoint(subscriber, registry.lease, writer, counted) if subscriber is not None else None
        endpoint = RouterEndpoint(
            registry.streams,
            registry.lease,
            registry.barrier,
            writer,
            NodeRequestHandler(base.index, clients.membership, writer, base.slow),
            stats,
            base.deadlines,
            base.tasks,
            counted,
            self.bus or NoObserver(),
        )
        self.server = NodeServer(endpoint, access.secret, clients.nodes.methods())
