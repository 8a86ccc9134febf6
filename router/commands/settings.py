"""`[commands]`: where commands come from. They are heard when `[bus] kind = "kafka"`."""

from typing import Annotated

import msgspec


class CommandSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[commands]`: the topic, and how much of it is under way at once."""

    topic: str = "homing.commands"
    dead: str = "homing.commands.dead"  # gets what cannot be carried out, with the reason
    group: str = "homing.routers"  # the consumer group; all routers of a cluster share the work
    in_flight: Annotated[int, msgspec.Meta(ge=1)] = 256  # commands of one router under way; then it reads no more
