"""Who may come in (docs/promises.md, rows 19-21, 33)."""

import pytest

from gateway.door.admission import Origins, check_arrival
from gateway.door.head import Head, HeadReader
from gateway.door.values import Arrival, Refusal
from gateway.identity.identity import Identity
from gateway.identity.ports import Unauthorized
from gateway.wire.bare import Bare
from gateway.wire.envelope_json import JsonEnvelope
from tests.support.heads import head

BARE, JSON = Bare(), JsonEnvelope()
ADA = Identity("ada", ("doc", "team/*"), "shared", 2e9)
ORIGINS = Origins(frozenset({"https://app.example.com"}))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def verify(token: str, now: float) -> Identity:
    assert now == 5.0
    if token != "good":
        raise Unauthorized("the token has expired")
    return ADA


def check(data: bytes, codec=BARE, origins: Origins = ORIGINS) -> Arrival | Refusal:
    found = HeadReader().feed(data)
    assert isinstance(found, Head)
    return check_arrival(found, codec, origins, verify, "192.0.2.1:5", 5.0)


def refusal(data: bytes, codec=BARE, origins: Origins = ORIGINS) -> Refusal:
    answer = check(data, codec, origins)
    assert isinstance(answer, Refusal)
    return answer


@pytest.mark.parametrize("origin", [None, "https://app.example.com"])
def test_allowed_origins(origin):
    assert isinstance(check(head("/ws?token=good", origin=origin)), Arrival)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "https://app.example.com.evil",
        "https://app.example.com:8443",
        "http://app.example.com",
        "https://evil/https://app.example.com",
        "",
        "http://localhost:3000",
    ],
)
def test_row_19_other_origins(origin):
    assert refusal(head("/ws?token=good", origin=origin)).status == 403


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80"])
def test_this_machine_is_allowed_in_development_only(origin):
    data = head("/ws?token=good", origin=origin)
    assert isinstance(check(data, origins=Origins(local=True)), Arrival)
    assert refusal(data, origins=Origins()).status == 403


@pytest.mark.parametrize("origin", ["http://localhost.evil.com", "http://evil.com/localhost", "http://127.0.0.12"])
def test_what_only_looks_like_this_machine(origin):
    assert refusal(head("/ws?token=good", origin=origin), origins=Origins(local=True)).status == 403


@pytest.mark.parametrize("origin", [None, "https://app.example.com"])
def test_row_20_a_cookie_is_never_read(origin):
    answer = refusal(head(cookie="token=good; access_token=good", origin=origin))
    assert (answer.status, answer.code) == (401, "unauthorized")


def test_row_21_no_credential_on_a_bare_connection():
    answer = refusal(head())
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.headers == (("WWW-Authenticate", 'Bearer realm="homing"'),)


def test_row_33_an_envelope_may_come_without_a_credential():
    assert check(head("/ws?file=doc"), JSON) == Arrival(JSON, None, ("doc",), "192.0.2.1:5")


@pytest.mark.parametrize(
    "data",
    [
        head("/ws?token=good&file=doc&file=team/1&file=doc", traceparent=TRACE),
        head("/ws?file=doc&file=team%2F1", authorization="Bearer good", traceparent=TRACE),
        head("/ws?file=doc&file=team/1", authorization="bearer  good", traceparent=TRACE),
    ],
)
def test_a_good_arrival(data):
    assert check(data) == Arrival(BARE, ADA, ("doc", "team/1"), "192.0.2.1:5", TRACE)


@pytest.mark.parametrize("codec", [BARE, JSON], ids=["bare", "homing.json"])
@pytest.mark.parametrize("data", [head("/ws?token=bad"), head("/ws?token="), head(authorization="Bearer bad")])
def test_a_bad_token(codec, data):
    answer = refusal(data, codec)
    assert (answer.status, answer.code, answer.message) == (401, "invalid_token", "the token has expired")
    assert answer.headers == (("WWW-Authenticate", 'Bearer realm="homing", error="invalid_token"'),)


def test_another_scheme_is_no_credential():
    assert refusal(head(authorization="Basic Z29vZA==")).status == 401


@pytest.mark.parametrize(
    "data", [head("/ws?token=good&token=good"), head("/ws?token=good", authorization="Bearer good")]
)
def test_two_credentials_are_refused(data):
    assert refusal(data).status == 400


@pytest.mark.parametrize("name", ["other", "", "team", "x" * 257])
def test_a_file_without_a_grant(name):
    answer = refusal(head(f"/ws?token=good&file=doc&file={name}"))
    assert (answer.status, answer.code) == (403, "forbidden")


def test_a_name_that_is_too_long_is_refused_even_by_a_grant_that_covers_it():
    assert refusal(head("/ws?token=good&file=team/" + "x" * 252)).status == 403
    assert isinstance(check(head("/ws?token=good&file=team/" + "x" * 251)), Arrival)


@pytest.mark.parametrize("value", ["x", TRACE.upper(), TRACE + "0", ""])
def test_a_malformed_traceparent_is_as_good_as_none(value):
    assert check(head("/ws?token=good", traceparent=value)).traceparent == ""


def test_x_trace_id_names_a_trace_where_there_is_no_traceparent():
    named = head("/ws?token=good", **{"x-trace-id": "a" * 32})
    assert check(named).traceparent == f"00-{'a' * 32}-{'0' * 16}-01"
    both = head("/ws?token=good", traceparent=TRACE, **{"x-trace-id": "a" * 32})
    assert check(both).traceparent == TRACE
