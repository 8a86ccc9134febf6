"""Core: which requests are malformed (RFC 9113 §8.1.1, §8.2, §8.3), so that no proxy and no handler misreads one."""

import re
from typing import Final

from runtime.grpc_wire.header_blocks import HeaderFields

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # a token (RFC 9110 §5.6.2), in lower case
_BAD_VALUE = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")
_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_REQUIRED: Final = frozenset((b":method", b":scheme", b":path"))
_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_REMEMBERED: Final = 256  # fields that were found well-formed, of at most `_SHORT` bytes: callers repeat theirs
_SHORT: Final = 128

_well_formed: set[tuple[bytes, bytes]] = set()


def malformed_request(headers: HeaderFields) -> str:
    """What is wrong with the headers of a request; "" when nothing is."""
    pseudo: set[bytes] = set()
    regular = False
    for field in headers:
        name = field[0]
        if name[:1] != b":":
            regular = True
            if field not in _well_formed and (wrong := _malformed_field(field)):
                return wrong
        elif regular or name in pseudo or name not in _PSEUDO or _BAD_VALUE.search(field[1]):
            return "a pseudo-header that is unknown, repeated, late, or has a wrong value"
        else:
            pseudo.add(name)
    if not pseudo >= _REQUIRED:
        return "a pseudo-header is missing"
    return "" if dict(headers)[b":path"] else "an empty :path"


def malformed_trailers(headers: HeaderFields) -> str:
    """What is wrong with the trailers of a request; "" when nothing is."""
    for field in headers:
        if field[0][:1] == b":":
            return "a pseudo-header in trailers"
        if wrong := _malformed_field(field):
            return wrong
    return ""


def content_length(headers: HeaderFields) -> int | None:
    """The announced bytes of DATA; -1: none are announced. None: a value that cannot be."""
    values = {value for name, value in headers if name == b"content-length"}
    if not values:
        return -1
    value = values.pop()
    return int(value) if not values and value.isdigit() and len(value) < 19 else None


def _malformed_field(field: tuple[bytes, bytes]) -> str:
    name, value = field
    if not _NAME.fullmatch(name):
        return "a field name that is not a lower-case token"
    if _BAD_VALUE.search(value):
        return "a field value with a line break, a NUL, or space around it"
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        return "a field that is specific to a connection"
    if len(_well_formed) < _REMEMBERED and len(name) + len(value) <= _SHORT:
        _well_formed.add(field)
    return ""
