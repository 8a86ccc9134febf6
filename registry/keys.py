"""The key layout in etcd (docs/design.md, "Keys"): build a key, parse a key. All keys begin with `/homing/<cluster>/`.

Users, files and node ids are percent-encoded, so that a `/` or a `.` in a name is never read as structure.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from registry.model import Incarnation

MAX_NAME = 1024  # characters of a user, a file or a node id; clients and the API allow 256 bytes
MAX_SID = 2**64 - 1
MAX_REVISION = 2**63 - 1  # of etcd

_is_plain = re.compile(r"[A-Za-z0-9_-]*").fullmatch
_is_number = re.compile(r"[1-9][0-9]{0,19}").fullmatch


def encode_name(name: str) -> str:
    """A user, file or node id as one path segment: all but letters, digits, `_` and `-` is percent-encoded."""
    if _is_plain(name):
        return name  # the usual case, on the path of every connect
    return quote(name, safe="").replace(".", "%2E").replace("~", "%7E")


def cluster_prefix(cluster: str) -> str:
    """The prefix of all keys of a cluster: one watch covers them."""
    return f"/homing/{encode_name(cluster)}/"


class Keys:
    """Builds the keys of one cluster."""

    def __init__(self, cluster: str) -> None:
        self.prefix = cluster_prefix(cluster)

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
        return f"{self.prefix}nodes/{encode_name(node)}"

    @property
    def nodes(self) -> str:
        return f"{self.prefix}nodes/"

    def machine(self, machine: int) -> str:
        return f"{self.prefix}machines/{machine}"

    def floor(self, machine: int) -> str:
        return f"{self.prefix}floors/{machine}"

    def batch(self, node: str) -> str:
        return f"{self.prefix}batches/{encode_name(node)}"

    @property
    def batches(self) -> str:
        return f"{self.prefix}batches/"

    def session(self, user: str, sid: int, incarnation: Incarnation) -> str:
        return f"{self.prefix}sessions/{encode_name(user)}/{sid}/{_encode_incarnation(incarnation)}"

    def file(self, file: str, incarnation: Incarnation) -> str:
        return f"{self.prefix}files/{encode_name(file)}/{_encode_incarnation(incarnation)}"


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


ParsedKey = NodeKey | BatchKey | SessionKey | FileKey
KINDS = frozenset({"sessions", "files", "nodes", "batches"})  # of keys that the route table holds


class MalformedKey(ValueError):
    """A key that no process of Homing writes."""


def parse_key(key: str, prefix_length: int) -> ParsedKey | None:
    """The parts of a key below the cluster's prefix. None: a kind that the route table does not hold.

    MalformedKey: only the one text that `Keys` builds is read, or a router would keep what nobody can delete.
    """
    parts = key[prefix_length:].split("/")
    match parts:
        case ["sessions", user, sid, incarnation]:
            return SessionKey(_decode_name(user), _decode_number(sid, MAX_SID), _decode_incarnation(incarnation))
        case ["files", file, incarnation]:
            return FileKey(_decode_name(file), _decode_incarnation(incarnation))
        case ["nodes", node]:
            return NodeKey(_decode_name(node))
        case ["batches", node]:
            return BatchKey(_decode_name(node))
    if parts[0] in KINDS:
        raise MalformedKey(key)
    return None


def _decode_name(segment: str) -> str:
    """The name of a segment. MalformedKey: not what `encode_name` makes of any name, or of one that is too long."""
    if len(segment) <= MAX_NAME and _is_plain(segment):
        return segment  # the usual case, on the path of every key
    try:
        name = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise MalformedKey(segment) from None
    if len(name) > MAX_NAME or not segment.isascii() or encode_name(name) != segment:
        raise MalformedKey(segment)
    return name


def _decode_number(text: str, limit: int) -> int:
    """A number from 1 to `limit` without leading zeros."""
    if not _is_number(text) or int(text) > limit:
        raise MalformedKey(text)
    return int(text)


# A cluster has few incarnations and very many keys of each: both directions are cached.
@lru_cache(maxsize=4096)
def _encode_incarnation(incarnation: Incarnation) -> str:
    return f"{encode_name(incarnation.node)}.{incarnation.epoch}"


@lru_cache(maxsize=4096)
def _decode_incarnation(segment: str) -> Incarnation:
    node, dot, epoch = segment.rpartition(".")
    if not dot:
        raise MalformedKey(segment)
    return Incarnation(_decode_name(node), _decode_number(epoch, MAX_REVISION))
