"""Core: the id of an Engine.IO connection: a Snowflake, whose machine bits name the owner, and a secret.

It is the credential of polls and upgrades: compared in constant time, and never logged whole (docs/protocol.md,
"Two ids and a secret").
"""

import re
from hmac import compare_digest
from typing import NamedTuple

from registry.ids import MAX_ID, machine_id_of

SECRET_BYTES = 16  # random

_match = re.compile(r"([1-9][0-9]{0,18})\.([A-Za-z0-9_-]{22})").fullmatch


class ConnectionId(NamedTuple):
    """One connection's id, as text `<number>.<secret>`."""

    number: int
    secret: str

    def __str__(self) -> str:
        return f"{self.number}.{self.secret}"

    @property
    def machine(self) -> int:
        """The machine id of the node that has made it."""
        return machine_id_of(self.number)

    def has_secret(self, secret: str) -> bool:
        """Whether this is its secret, in constant time."""
        return compare_digest(self.secret.encode(), secret.encode())


NOBODY = ConnectionId(0, "A" * 22)
"""What an unknown id is compared with, so that it takes as long as a known one."""


def parse(text: str) -> ConnectionId | None:
    """The id in a request; None: it is none that any node of any cluster makes."""
    found = _match(text)
    if found is None or int(found[1]) > MAX_ID:
        return None
    return ConnectionId(int(found[1]), found[2])
