"""Which adapters a configuration chooses. aiokafka costs 20 MiB, so it is imported only when it is used."""

from typing import TYPE_CHECKING

from observability import names
from observability.counters import Counters, counters
from registry.etcd.store import EtcdStore
from router.api.calls import Calls
from router.caller import loopback
from router.commands.dispatch import CommandDispatcher
from router.config import RouterConfig
from runtime.bus import probe
from runtime.bus.port import Publisher
from runtime.events.port import EventSink

if TYPE_CHECKING:
    from router.commands.consumer import KafkaCommandConsumer


def store(settings: RouterConfig) -> EtcdStore:
    """The registry's store."""
    return EtcdStore(settings.registry.endpoints())


def publisher(settings: RouterConfig) -> Publisher | None:
    """Where pushes are published in broadcast mode; None in routed mode."""
    if settings.delivery.mode != "broadcast":
        return None
    if settings.bus.kind == "redis":
        from runtime.bus.redis_channel import RedisPublisher  # routers need redis-py for nothing else

        return RedisPublisher(settings.bus, settings.delivery.channel)
    from runtime.bus.kafka_topic import KafkaPublisher  # with aiokafka, which costs 20 MiB

    return KafkaPublisher(settings.bus, settings.delivery.channel)


def event_sink(settings: RouterConfig) -> EventSink:
    """Where the disconnects of lost sessions are published."""
    counted = counters(names.EVENTS)
    if settings.bus.kind == "redis":
        from runtime.events.redis_stream import RedisStream  # routers need redis-py for little else

        return RedisStream(settings.bus, settings.events, counted)
    from runtime.events.kafka_topic import KafkaTopic  # with aiokafka, which costs 20 MiB

    return KafkaTopic(settings.bus, settings.events, counted)


def bus_probe(settings: RouterConfig) -> probe.BusProbe:
    """What asks the bus whether it is there, if this router uses it."""
    uses_redis = settings.bus.kind == "redis" and settings.delivery.mode == "broadcast"
    return probe.BusProbe(probe.checks(settings.bus, uses_redis, settings.bus.kind == "kafka"))


def commands(settings: RouterConfig, calls: Calls, counted: Counters) -> "KafkaCommandConsumer | None":
    """The consumer of commands over Kafka; None without Kafka."""
    if settings.bus.kind != "kafka":
        return None
    from router.commands.consumer import KafkaCommandConsumer  # with aiokafka, which costs 20 MiB

    return KafkaCommandConsumer(settings.bus, settings.commands, CommandDispatcher(calls), loopback, counted)
