"""The key layout of design §4: build a key, parse a key. Everything lies under `/homing/<cluster>/`.

Users, file names and node ids are percent-encoded, so a `/` or a `.` in a name can never be read as structure.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from registry.model import Incarnation

is_plain = re.compile(r"[A-Za-z0-9_-]*").fullmatch


def encode(name: str) -> str:
    """A user, file or node id as one path segment: all but letters, digits, `_` and `-` is percent-encoded."""
    if is_plain(name):
        return name  # as nearly all are, and every connect asks
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def prefix(cluster: str) -> str:
    """What one cluster's keys share; one watch covers it all."""
    return f"/homing/{encode(cluster)}/"


class Keys:
    """Builds the keys of one cluster."""

    def __init__(self, cluster: str) -> None:
        self.prefix = prefix(cluster)

    @property
    def layout(self) -> str:
        return f"{self.prefix}layout"

    @property
    def sweeper(self) -> str:
        return f"{self.prefix}leaders/sweeper"

    @property
    def machines(self) -> str:
        return f"{self.prefix}machines/"

    def node(self, node: str) -> str:
        return f"{self.prefix}nodes/{encode(node)}"

    def machine(self, machine: int) -> str:
        return f"{self.prefix}machines/{machine}"

    def floor(self, machine: int) -> str:
        return f"{self.prefix}floors/{machine}"

    def batch(self, node: str) -> str:
        return f"{self.prefix}batches/{encode(node)}"

    @property
    def batches(self) -> str:
        return f"{self.prefix}batches/"

    def session(self, user: str, sid: int, incarnation: Incarnation) -> str:
        return f"{self.prefix}sessions/{encode(user)}/{sid}/{_owner(incarnation)}"

    def file(self, file: str, incarnation: Incarnation) -> str:
        return f"{self.prefix}files/{encode(file)}/{_owner(incarnation)}"


class NodeKey(NamedTuple):
    node: str


class BatchKey(NamedTuple):
    node: str


class SessionKey(NamedTuple):
    user: str
    sid: int
    incarnation: Incarnation


class FileKey(NamedTuple):
    file: str
    incarnation: Incarnation


Parsed = NodeKey | BatchKey | SessionKey | FileKey


def parse(key: str, prefix_length: int) -> Parsed | None:
    """What a key below the cluster's prefix is about; None for kinds that no table holds, or a malformed key."""
    parts = key[prefix_length:].split("/")
    try:
        match parts:
            case ["sessions", user, sid, incarnation]:
                return SessionKey(unquote(user), int(sid), _incarnation(incarnation))
            case ["files", file, incarnation]:
                return FileKey(unquote(file), _incarnation(incarnation))
            case ["nodes", node]:
                return NodeKey(unquote(node))
            case ["batches", node]:
                return BatchKey(unquote(node))
    except ValueError:
        return None
    return None


# A cluster has few incarnations and very many keys of each, so both directions are remembered.
@lru_cache(maxsize=4096)
def _owner(incarnation: Incarnation) -> str:
    return f"{encode(incarnation.node)}.{incarnation.epoch}"


@lru_cache(maxsize=4096)
def _incarnation(text: str) -> Incarnation:
    node, _, epoch = text.rpartition(".")
    if not node:
        raise ValueError(text)
    return Incarnation(unquote(node), int(epoch))
