"""Why things end, and who may try again: every close code and every error word of the client's side, in one table.

Code that closes or refuses names a row of this file; documents and tests read the same rows (docs/protocol.md,
"Close codes").
"""

from enum import StrEnum

import msgspec


class Retry(StrEnum):
    """What a client should do after it was turned away."""

    NOT_NEEDED = "not needed"
    RECONNECT = "reconnect"  # with the ordinary back-off
    BACK_OFF = "back off"  # at least 5 s
    NEW_TOKEN = "new token first"
    NEVER = "do not retry"


class CloseCode(msgspec.Struct, frozen=True):
    """One way in which a WebSocket ends. `reason`: the text in the close frame, at most 123 bytes."""

    code: int
    reason: str
    retry: Retry


DONE = CloseCode(1000, "", Retry.NOT_NEEDED)
GOING_AWAY = CloseCode(1001, "", Retry.NOT_NEEDED)
PROTOCOL_ERROR = CloseCode(1002, "protocol error", Retry.NEVER)
UNSUPPORTED_DATA = CloseCode(1003, "kind of data not accepted", Retry.NEVER)
CONNECTION_LOST = CloseCode(1006, "", Retry.RECONNECT)  # never on the wire (RFC 6455 §7.4.1)
INVALID_UTF8 = CloseCode(1007, "text is not UTF-8", Retry.NEVER)
CORRUPT_DATA = CloseCode(1007, "corrupt compressed data", Retry.NEVER)
POLICY = CloseCode(1008, "policy", Retry.NEVER)
MESSAGE_TOO_BIG = CloseCode(1009, "message too big", Retry.NEVER)
INTERNAL_ERROR = CloseCode(1011, "internal error", Retry.RECONNECT)
DRAINING = CloseCode(1012, "draining", Retry.RECONNECT)
FULL = CloseCode(1013, "full", Retry.BACK_OFF)
BAD_MESSAGES = CloseCode(4400, "bad messages", Retry.NEVER)
UNAUTHORIZED = CloseCode(4401, "unauthorized", Retry.NEW_TOKEN)
FORBIDDEN = CloseCode(4403, "forbidden", Retry.NEVER)
NO_AUTH = CloseCode(4408, "auth", Retry.RECONNECT)
NO_HEARTBEAT = CloseCode(4408, "heartbeat", Retry.RECONNECT)
SLOW = CloseCode(4408, "slow", Retry.RECONNECT)
REPLACED = CloseCode(4409, "replaced", Retry.NEVER)
RATE = CloseCode(4429, "rate", Retry.BACK_OFF)

CLOSE_CODES: tuple[CloseCode, ...] = (
    DONE,
    GOING_AWAY,
    PROTOCOL_ERROR,
    UNSUPPORTED_DATA,
    CONNECTION_LOST,
    INVALID_UTF8,
    CORRUPT_DATA,
    POLICY,
    MESSAGE_TOO_BIG,
    INTERNAL_ERROR,
    DRAINING,
    FULL,
    BAD_MESSAGES,
    UNAUTHORIZED,
    FORBIDDEN,
    NO_AUTH,
    NO_HEARTBEAT,
    SLOW,
    REPLACED,
    RATE,
)


class ErrorKind(msgspec.Struct, frozen=True):
    """One word for an error: in an `error` message to a client, or in the JSON of an HTTP answer (`statuses`)."""

    code: str
    statuses: tuple[int, ...]  # where it may stand in plain HTTP; empty: on an open connection only
    retry: Retry


ERRORS: dict[str, ErrorKind] = {
    kind.code: kind
    for kind in (
        ErrorKind("bad_message", (), Retry.NEVER),
        ErrorKind("bad_request", (400,), Retry.NEVER),
        ErrorKind("unauthorized", (401,), Retry.NEW_TOKEN),
        ErrorKind("invalid_token", (401,), Retry.NEW_TOKEN),
        ErrorKind("forbidden", (403,), Retry.NEVER),
        ErrorKind("not_found", (404,), Retry.NEVER),
        ErrorKind("method_not_allowed", (405,), Retry.NEVER),
        ErrorKind("timeout", (408,), Retry.RECONNECT),
        ErrorKind("too_large", (413, 414, 431), Retry.NEVER),
        ErrorKind("upgrade_required", (426,), Retry.NEVER),
        ErrorKind("rate", (429,), Retry.BACK_OFF),
        ErrorKind("internal", (500,), Retry.RECONNECT),
        ErrorKind("busy", (503,), Retry.BACK_OFF),
        ErrorKind("unavailable", (503,), Retry.RECONNECT),
        ErrorKind("unsupported_version", (505,), Retry.NEVER),
    )
}


def may_retry(code: int, reason: str = "") -> Retry:
    """What a client should do after this close; an unknown code is treated as a lost connection."""
    rows = [row for row in CLOSE_CODES if row.code == code]
    exact = [row for row in rows if row.reason == reason]
    return (exact or rows or [CONNECTION_LOST])[0].retry
