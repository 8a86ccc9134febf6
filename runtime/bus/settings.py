"""`[bus]` and `[delivery]`: the two sections that gateways and routers must read alike."""

from typing import Literal

import msgspec


class BusSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[bus]`: which bus, and where. Redis is named in any case: the views stand there (design §7)."""

    kind: Literal["redis", "kafka"] = "redis"
    redis: str = "redis://127.0.0.1:6379"
    kafka: str = "127.0.0.1:9092"  # host:port, several separated by commas
    timeout: float = 2.0  # seconds for one write, and for a connect


class DeliverySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[delivery]`: how pushes get to their receivers' gateways (design §6)."""

    mode: Literal["routed", "broadcast"] = "routed"
    channel: str = "homing.pushes"  # of the bus, in broadcast mode
