"""Limits of the public API."""

import msgspec


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[router.api]`: limits of the public API."""

    max_data: int = 1_000_000  # bytes of one push's data
    stream_pushes: int = 4096  # of one PushStream that may be under way; more are refused, one by one
