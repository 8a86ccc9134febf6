"""Core: types of settings, with bounds, and checks of addresses.

docs/configuration.md shows the bounds. A year of seconds and a TiB are no recommendations: beyond, a value is a slip of
the keyboard.
"""

import re
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Workers = Annotated[int, Meta(ge=0, le=1024)]
Bytes = Annotated[int, Meta(ge=1, le=1_099_511_627_776)]
MessageBytes = Annotated[int, Meta(ge=1, le=16_777_216)]  # a request to a router, and a message that a gateway discards
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
NonNegativeSeconds = Annotated[float, Meta(ge=0, le=31_536_000)]

_match_address = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]):([0-9]{1,5})").fullmatch


def check_addresses(name: str, addresses: Sequence[str]) -> None:
    """ValueError: there is none, or one is not host:port. `name`: of the setting."""
    if not addresses:
        raise ValueError(f"{name}: name at least one host:port")
    for address in addresses:
        found = parse_address(address)
        if found is None or found[1] == 0:
            raise ValueError(f"{name}: {address!r} is not host:port, such as 127.0.0.1:2379 or [::1]:2379")


def parse_address(address: str) -> tuple[str, int] | None:
    """Host and port of "host:port"; an IPv6 host loses its brackets. None: the text is something else.

    The rule is that of homing/client/addresses.py, for what is installed without services; a test compares the two.
    """
    found = _match_address(address)
    if found is None or int(found[2]) > 65535:
        return None
    return found[1].strip("[]"), int(found[2])


def split_list(value: str | Sequence[str]) -> tuple[str, ...]:
    """The items of a list, or of a text with commas; without blanks and empty items."""
    items = value.split(",") if isinstance(value, str) else value
    return tuple(item.strip() for item in items if item.strip())
