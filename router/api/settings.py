"""Core: `[router.api]`: limits of the public API."""

import msgspec

from runtime.process.setting_types import Count, MessageBytes


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.api]`: limits of the public API."""

    max_data: MessageBytes = 1_000_000  # Bytes of the data of one push.
    stream_pushes: Count = 4096  # Pushes of one PushStream in flight; more are refused, each by itself.
