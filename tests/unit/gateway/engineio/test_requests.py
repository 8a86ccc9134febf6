"""Ids, requests and answers of Engine.IO. docs/promises.md, rows 58 to 62."""

import json

import pytest

from gateway.door.head import Head
from gateway.door.values import Refusal
from gateway.engineio import answers, ids
from gateway.engineio.connections import EngineConnections
from gateway.engineio.ids import NOBODY, ConnectionId
from gateway.engineio.requests import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    UNKNOWN_ID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    EngineRequest,
    Purpose,
    as_error,
    judge,
)
from registry.ids import EPOCH_MS, join

NUMBER = join(EPOCH_MS + 5, 7, 3)
ID = ConnectionId(NUMBER, "s" * 22)
UPGRADE = {"upgrade": "websocket"}


def head(method: str = "GET", headers: dict[str, str] | None = None, **query: str) -> Head:
    return Head(method, "/engine.io/", tuple(query.items()), 1, headers or {})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (head("OPTIONS"), EngineRequest(Purpose.PREFLIGHT)),
        (head(EIO="4", transport="polling"), EngineRequest(Purpose.HANDSHAKE)),
        (head(EIO="4", transport="websocket", headers=UPGRADE), EngineRequest(Purpose.OPEN)),
        (head(EIO="4", transport="polling", sid=str(ID)), EngineRequest(Purpose.POLL, ID)),
        (head("POST", EIO="4", transport="polling", sid=str(ID)), EngineRequest(Purpose.POST, ID)),
        (head(EIO="4", transport="websocket", sid=str(ID), headers=UPGRADE), EngineRequest(Purpose.UPGRADE, ID)),
        (head(), UNKNOWN_TRANSPORT),
        (head(EIO="4", transport="abc"), UNKNOWN_TRANSPORT),
        (head(transport="polling"), UNSUPPORTED_VERSION),
        (head(EIO="3", transport="polling"), UNSUPPORTED_VERSION),
        (head(EIO="3", transport="websocket", sid=str(ID), headers=UPGRADE), UNSUPPORTED_VERSION),
        (head("POST", EIO="4", transport="polling"), BAD_HANDSHAKE_METHOD),
        (head("PUT", EIO="4", transport="websocket", headers=UPGRADE), BAD_HANDSHAKE_METHOD),
        (head(EIO="4", transport="websocket"), BAD_REQUEST),
        (head(EIO="4", transport="polling", headers=UPGRADE), BAD_REQUEST),
        (head("PUT", EIO="4", transport="polling", sid=str(ID)), BAD_REQUEST),
        (head(EIO="4", transport="polling", sid=str(ID), headers={"content-length": "2"}), BAD_REQUEST),
        (
            head("POST", {"content-type": "application/octet-stream"}, EIO="4", transport="polling", sid=str(ID)),
            BAD_REQUEST,
        ),
        (head(EIO="4", transport="polling", sid="__proto__"), UNKNOWN_ID),
        (head(EIO="4", transport="websocket", sid=str(NUMBER), headers=UPGRADE), UNKNOWN_ID),
    ],
)
def test_what_a_request_is_for(asked: Head, expected: object) -> None:
    assert judge(asked) == expected


def test_a_parameter_stands_once() -> None:
    twice = Head("GET", "/", (("EIO", "4"), ("transport", "polling"), ("sid", "a"), ("sid", str(ID))), 1, {})
    assert judge(twice) == BAD_REQUEST


def test_an_id_names_its_owner_and_has_a_secret() -> None:
    assert ids.parse(str(ID)) == ID
    assert ID.machine == 7
    assert ids.parse(f"{2**63}.{'s' * 22}") is None
    assert ids.parse("1." + "s" * 21) is None
    assert (ID.has_secret("s" * 22), ID.has_secret("t" * 22), NOBODY.has_secret("é")) == (True, False, False)


def test_a_connection_is_found_by_its_whole_id() -> None:
    class One:
        id = ID

    table, one = EngineConnections[One](), One()
    table.add(one)
    assert len(table) == 1
    assert table.find(ID) is one
    assert table.find(ConnectionId(NUMBER, "t" * 22)) is None
    assert table.find(ConnectionId(NUMBER + 1, "s" * 22)) is None
    assert table.find(NOBODY) is None
    table.remove(one)
    table.remove(one)
    assert table.find(ID) is None


def test_answers() -> None:
    plain = answers.answer(200, b"ok", answers.TEXT, (("Connection", "close"),), 0.0)
    assert plain.startswith(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain")
    assert plain.endswith(b"Connection: close\r\n\r\nok")
    assert b"Content-Length" not in answers.answer(204, b"", answers.TEXT, (), 0.0)
    assert json.loads(answers.error_body(UNKNOWN_ID)) == {"code": 1, "message": "Session ID unknown"}


def test_cors_is_for_who_says_an_origin() -> None:
    assert answers.cors_headers(head()) == ()
    assert answers.cors_headers(head(headers={"origin": "https://a"}))[0] == (
        "Access-Control-Allow-Origin",
        "https://a",
    )
    requested = head("OPTIONS", {"access-control-request-headers": "x-a"})
    assert ("Access-Control-Allow-Headers", "x-a") in answers.preflight_headers(requested)
    assert len(answers.preflight_headers(head("OPTIONS"))) == 2


def test_refusals_in_the_protocol_s_words() -> None:
    assert as_error(Refusal(401, "unauthorized", "no"))[:3] == (4, "no", 401)
    assert as_error(Refusal(503, "unavailable", "later", (("Retry-After", "1"),))) == (
        3,
        "later",
        503,
        (("Retry-After", "1"),),
    )
