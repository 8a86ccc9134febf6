"""Which requests the page for development may make; nobody elsewhere may make them from a visitor's browser."""

import pytest

from gateway.door.development import canonical, check_page, is_page
from gateway.door.head import Head, HeadReader


def head(method="GET", path="/", *, query=(), minor=1, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(method, path, tuple(query), minor, {"host": "127.0.0.1:8400"} | named)


@pytest.mark.parametrize(
    "path", ["/", "/homing.js", "/json_fault.js", "/page.js", "/page.css", "/dev/token", "/v1/push", "/v1/push:batch"]
)
def test_its_paths(path):
    assert is_page(path)


@pytest.mark.parametrize("path", ["/ws", "/index.html", "/v1/", "/v1/../x", "/v1/push/x", "/v1/PUSH", "/dev", "/%2e"])
def test_nothing_else(path):
    assert not is_page(path)


@pytest.mark.parametrize("host", ["127.0.0.1:8400", "localhost", "localhost:1", "[::1]:9"])
def test_its_own_origin_on_this_machine_may(host):
    assert check_page(head("POST", "/v1/push", host=host, origin=f"http://{host}")) is None
    assert check_page(head("GET", "/dev/token", host=host)) is None


def test_its_own_origin_over_tls_is_https():
    assert check_page(head(origin="https://127.0.0.1:8400"), "https") is None
    assert check_page(head(origin="http://127.0.0.1:8400"), "https") is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},  # a name that resolves to this machine
        {"host": "127.0.0.1.evil.example:8400"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8400"},  # another origin than that of the Host
        {"origin": "https://127.0.0.1:8400"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/dev/token"), ("POST", "/v1/push")])
def test_pages_from_elsewhere_may_not(headers, method, path):
    refusal = check_page(head(method, path, **headers))
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/", {}, 405),
        ("HEAD", "/homing.js", {}, 405),
        ("GET", "/v1/push", {}, 405),
        ("GET", "/", {"content_length": "3"}, 400),
        ("GET", "/dev/token", {"transfer_encoding": "chunked"}, 400),
    ],
)
def test_methods_and_bodies(method, path, headers, status):
    assert check_page(head(method, path, **headers)).status == status


def test_the_canonical_head_reads_back_the_same_but_for_the_connection():
    sent = head(
        "POST",
        "/v1/push",
        query=[("user", "ada & bob"), ("file", "ü=1")],
        content_length="2",
        connection="keep-alive, Upgrade",
        upgrade="h2c",
        x_note="\xe4",
    )
    reader = HeadReader()
    back = reader.feed(canonical(sent))
    assert isinstance(back, Head)
    assert (back.method, back.path, back.query) == (sent.method, sent.path, sent.query)
    assert back.headers == {"host": "127.0.0.1:8400", "content-length": "2", "x-note": "\xe4", "connection": "close"}
    assert reader.rest == b""
