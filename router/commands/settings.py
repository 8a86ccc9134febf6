"""Core: `[commands]`: the topics and bounds of commands, which are consumed when `[bus] kind = "kafka"`."""

import msgspec

from runtime.process.setting_types import Count


class CommandSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[commands]`: the topics, and how many commands are in flight at once."""

    topic: str = "homing.commands"  # The Kafka topic of commands.
    dead: str = "homing.commands.dead"  # The Kafka topic of the records that cannot be executed, with the reason.
    group: str = "homing.routers"  # The consumer group, shared by all routers of a cluster.
    in_flight: Count = 256  # Commands of one router in flight; then no more are read.
