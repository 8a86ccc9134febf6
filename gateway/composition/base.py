"""What every group of a gateway's parts uses."""

import asyncio

from gateway import adapters, config
from gateway.back_pressure import SlowConsumers
from gateway.delivery.dedup import Dedup
from gateway.sessions.index import Index
from gateway.sessions.session import Session
from gateway.sessions.timer import Timer, make_deadlines
from gateway.wire.uploads import Deadlined
from observability import names, span_export
from observability.counters import counters
from runtime.process.background_tasks import BackgroundTasks


class Base:
    """What every group of parts uses."""

    def __init__(self, settings: config.GatewayConfig) -> None:
        self.settings = settings
        self.node_id = config.node_id(settings.gateway.node_id)
        self.counters = counters(names.GATEWAY)
        self.tracer, self.spans = span_export.set_up(
            settings.trace,
            self.counters,
            service_name="homing-gateway",
            service_namespace=settings.registry.cluster,
            service_instance_id=self.node_id,
        )
        self.tasks = BackgroundTasks()
        loop = asyncio.get_running_loop()
        self.deadlines = make_deadlines(loop)
        self.uploads = Timer[Deadlined](1.0, lambda transport, _now: transport.on_deadline(), loop)
        self.index = Index[Session]()
        self.dedup = Dedup(settings.gateway.dedup, self.counters)
        self.slow = SlowConsumers(settings.gateway.slow, self.deadlines, self.counters)
        self.sink = adapters.event_sink(settings, self.counters)
        self.bus_probe = adapters.bus_probe(settings)
        self.views = adapters.views(settings, self.node_id)
