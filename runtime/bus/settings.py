"""`[bus]` and `[delivery]`: the sections that gateways and routers of one cluster must have alike."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from runtime.process.setting_types import Seconds, check_addresses, split_list


class BusSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[bus]`: Redis or Kafka, and where they are. Redis is also where the views are, whatever `kind` is."""

    kind: Literal["redis", "kafka"] = "redis"  # The bus of client events and, in broadcast mode, of pushes.
    redis: str = "redis://127.0.0.1:6379"  # URL of Redis.
    kafka: str = "127.0.0.1:9092"  # Kafka's bootstrap servers, host:port, several separated by commas.
    timeout: Seconds = 2.0  # Seconds for one write, and for one connection attempt.

    def __post_init__(self) -> None:
        check_addresses("kafka", split_list(self.kafka))
        if not _is_redis_url(self.redis):
            raise ValueError("redis: no URL of Redis, such as redis://127.0.0.1:6379")  # it may hold a password


class DeliverySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[delivery]`: how pushes reach the gateways that own their receivers."""

    mode: Literal["routed", "broadcast"] = "routed"  # To the owners only, or over the bus to every gateway.
    channel: str = "homing.pushes"  # In broadcast mode: the Redis channel or the Kafka topic of pushes.


def _is_redis_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return bool(parts.path) if parts.scheme == "unix" else has_host and parts.scheme in ("redis", "rediss")
