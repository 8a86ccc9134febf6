"""Core: `[router.api]`: limits of the public API."""

import msgspec


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.api]`: limits of the public API."""

    max_data: int = 1_000_000  # Bytes of the data of one push.
    stream_pushes: int = 4096  # Pushes of one PushStream in flight; more are refused, each by itself.
