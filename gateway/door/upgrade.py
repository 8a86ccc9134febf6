"""Core: is a good head also a good WebSocket handshake (RFC 6455 §4.2; docs/promises.md, rows 1-8, 17, 18)?

Where nothing is compressed no string of an extension is ever parsed.
"""

import base64
import re
from collections.abc import Collection, Container
from hashlib import sha1

import msgspec

from gateway.door.extensions import DeflateParameters, negotiate
from gateway.door.head import Head, bad_request
from gateway.door.values import Refusal

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_match_key = re.compile(r"[A-Za-z0-9+/]{22}==").fullmatch  # 16 bytes in base64
_match_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch

_GET_ONLY = Refusal(405, "method_not_allowed", "a WebSocket is opened with GET", (("Allow", "GET"),))
_UPGRADE_HEADERS = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))  # RFC 9110 §15.5.22, RFC 6455 §4.4
_UPGRADE = Refusal(426, "upgrade_required", "this path speaks WebSocket", _UPGRADE_HEADERS)
_VERSION = Refusal(426, "upgrade_required", "WebSocket version 13 only", _UPGRADE_HEADERS)


class Handshake(msgspec.Struct, frozen=True):
    """What the 101 will say."""

    accept: str  # Sec-WebSocket-Accept
    subprotocol: str  # "" when none was agreed on: the answer then has no such header
    deflate: DeflateParameters | None = None  # how messages may be compressed; None: not at all


def check_upgrade(head: Head, known: Container[str], window_bits: Collection[int] = ()) -> Handshake | Refusal:
    """Check a head that came for a WebSocket; `known` are the subprotocols spoken here, `window_bits` those with which
    this side can compress: none, and no message is compressed.

    When a client offers only subprotocols that are unknown here, none is agreed on and the connection is bare, as
    RFC 6455 §4.2.2 (step 5, /subprotocol/ null) has it: the client learns it from the header's absence, and
    decides. Browsers close; a refusal would give them no more information.
    """
    refusal = _check_request(head)
    if refusal:
        return refusal
    headers = head.headers
    if headers.get("sec-websocket-version") != "13":
        return _VERSION
    key = headers.get("sec-websocket-key", "")
    if not _match_key(key):
        return bad_request("Sec-WebSocket-Key must be 16 bytes in base64")
    offered = head.tokens("sec-websocket-protocol")
    if len(set(offered)) != len(offered) or not all(map(_match_token, offered)):
        return bad_request("a malformed Sec-WebSocket-Protocol")
    chosen = next((name for name in offered if name in known), "")
    offers = headers.get("sec-websocket-extensions")
    deflate = negotiate(offers, window_bits) if offers and window_bits else None
    return Handshake(accept_for(key), chosen, deflate)


def _check_request(head: Head) -> Refusal | None:
    """Method, version, body and the two upgrade headers, in the order in which an answer helps most."""
    if head.method != "GET":
        return _GET_ONLY
    if head.has_body():
        return bad_request("a WebSocket handshake has no body")
    if "websocket" not in map(str.lower, head.tokens("upgrade")):
        return _UPGRADE
    if not head.minor:
        return bad_request("a WebSocket handshake needs HTTP/1.1")
    if "upgrade" not in map(str.lower, head.tokens("connection")):
        return bad_request("the Connection header must say Upgrade")
    return None


def accept_for(key: str) -> str:
    """The proof that the handshake was understood (RFC 6455 §4.2.2)."""
    return base64.b64encode(sha1((key + _MAGIC).encode(), usedforsecurity=False).digest()).decode()
