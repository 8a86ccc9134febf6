"""Which adapters a configuration chooses. aiokafka costs 20 MiB, so it is imported only when it is used."""

from gateway.config import GatewayConfig
from gateway.views.redis_views import RedisViews
from observability.counters import Counters
from registry.etcd.store import EtcdStore
from runtime.bus import probe
from runtime.bus.port import Subscriber
from runtime.bus.redis_channel import RedisSubscriber
from runtime.events.port import EventSink
from runtime.events.redis_stream import RedisStream


def store(settings: GatewayConfig) -> EtcdStore:
    """The registry's store."""
    return EtcdStore(settings.registry.endpoints())


def event_sink(settings: GatewayConfig, counted: Counters) -> EventSink:
    """Where client events go."""
    if settings.bus.kind == "redis":
        return RedisStream(settings.bus, settings.events, counted)
    from runtime.events.kafka_topic import KafkaTopic

    return KafkaTopic(settings.bus, settings.events, counted)


def views(settings: GatewayConfig, node_id: str) -> RedisViews | None:
    """Where sessions are shown; None: nowhere."""
    return RedisViews(settings.bus, settings.views, node_id) if settings.views.enabled else None


def bus_probe(settings: GatewayConfig) -> probe.BusProbe:
    """What asks Redis and Kafka whether they are there, those that this gateway uses."""
    uses_kafka = settings.bus.kind == "kafka"
    return probe.BusProbe(probe.checks(settings.bus, settings.views.enabled or not uses_kafka, uses_kafka))


def subscriber(settings: GatewayConfig) -> Subscriber | None:
    """Where pushes are read in broadcast mode; None in routed mode."""
    if settings.delivery.mode != "broadcast":
        return None
    if settings.bus.kind == "redis":
        return RedisSubscriber(settings.bus, settings.delivery.channel)
    from runtime.bus.kafka_topic import KafkaSubscriber

    return KafkaSubscriber(settings.bus, settings.delivery.channel)
