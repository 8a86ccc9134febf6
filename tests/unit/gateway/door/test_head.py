"""The head parser: a good head is read in one way, a bad one is refused (docs/promises.md, rows 2, 3, 8-12, 16)."""

import time

import pytest

from gateway.door.head import MAX_HEAD, MAX_HEADERS, MAX_LINE, Head, HeadReader
from gateway.door.values import Refusal
from tests.support.heads import head


def whole(data: bytes) -> Head | Refusal | None:
    return HeadReader().feed(data)


def byte_by_byte(data: bytes) -> Head | Refusal | None:
    reader = HeadReader()
    for at in range(len(data)):
        verdict = reader.feed(data[at : at + 1])
        if verdict is not None:
            return verdict
    return None


@pytest.fixture(params=[whole, byte_by_byte], ids=["whole", "byte by byte"])
def read(request):
    return request.param


def status(verdict: Head | Refusal | None) -> int | None:
    return verdict.status if isinstance(verdict, Refusal) else None


def test_a_browsers_head(read):
    found = read(head("/ws?token=a.b-c_d&file=doc&file=x%2Fy&empty="))
    assert isinstance(found, Head)
    assert (found.method, found.path, found.minor) == ("GET", "/ws", 1)
    assert found.query == (("token", "a.b-c_d"), ("file", "doc"), ("file", "x/y"), ("empty", ""))
    assert found.headers["host"] == "gateway.example"
    assert found.tokens("connection") == ["Upgrade"]
    assert not found.has_body()


def test_what_follows_is_kept():
    reader = HeadReader()
    assert isinstance(reader.feed(head() + b"\x81\x80\r\n\r\n"), Head)
    assert reader.rest == b"\x81\x80\r\n\r\n"


def test_an_unfinished_head_has_no_verdict(read):
    assert read(head()[:-1]) is None


def test_lists_are_joined_and_white_space_is_stripped(read):
    found = read(head(extra="Via: \t one \r\nvia:two,, three\r\nX-Empty:\r\n"))
    assert found.headers["via"] == "one, two,, three"
    assert found.tokens("via") == ["one", "two", "three"]
    assert found.tokens("x-none") == []
    assert found.headers["x-empty"] == ""


def test_http_1_0_may_come_without_a_host(read):
    assert read(b"GET / HTTP/1.0\r\n\r\n") == Head("GET", "/", (), 0, {})


@pytest.mark.parametrize("version", ["HTTP/9.9", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9"])
def test_row_02_versions(read, version):
    assert status(read(head(version=version))) == 505


@pytest.mark.parametrize(
    "line",
    [
        "GET /ws",
        "GET  /ws HTTP/1.1",
        "GET /ws  HTTP/1.1",
        " GET /ws HTTP/1.1",
        "GET /ws HTTP/1.1 ",
        "GET /w s HTTP/1.1",
        "GET /ws http/1.1",
        "GET /ws HTTP/1.10",
        "G(T /ws HTTP/1.1",
        "GET\t/ws HTTP/1.1",
        "GET /ws\x00 HTTP/1.1",
        "GET /\xe9 HTTP/1.1",
        "",
        "\x16\x03\x01\x02\x00\x01",
    ],
)
def test_bad_request_lines(read, line):
    assert status(read(line.encode("latin-1") + b"\r\nHost: a\r\n\r\n")) == 400


BAD_TARGETS = ["*", "ftp://a/ws", "http://", "http:///ws", "http://a b/ws", "ws", "/ws#x", "/ws?a=%zz", "/ws?a=%e9"]


@pytest.mark.parametrize("target", [*BAD_TARGETS, "/ws?" + "a=1&" * 65])
def test_bad_targets(read, target):
    assert status(read(head(target))) == 400


@pytest.mark.parametrize(
    "change", [{"host": None}, {"extra": "Host: b\r\n"}, {"host": "a b"}, {"host": ""}, {"host": "a/b"}]
)
def test_row_03_host(read, change):
    assert status(read(head(**change))) == 400


def test_row_08_a_body_is_seen(read):
    assert read(head(content_length="5")).has_body()
    assert read(head(transfer_encoding="chunked")).has_body()
    assert not read(head(content_length="0")).has_body()


@pytest.mark.parametrize(
    "extra",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\ncontent-length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x10\r\n",
        "Content-Length: \xb2\r\n",
        "Content-Length: \r\n",
        "Content-Length: 1 2\r\n",
        "Content-Length: 9999999999999999999999\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_row_09_lengths(read, extra):
    assert status(read(head(extra=extra))) == 400


@pytest.mark.parametrize(
    "extra",
    [
        "X: a\nY: b\r\n",
        "X: a\n\r\n",
        "X: a\rY: b\r\n",
        "X: a\r\rY: b\r\n",
        "X: a\rTransfer-Encoding: chunked\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\x00b\r\n",
        "X: a\x0bb\r\n",
        "X: a\x7fb\r\n",
        "X : a\r\n",
        "X\t: a\r\n",
        ": a\r\n",
        "X a\r\n",
        "X\x00: a\r\n",
        "X(: a\r\n",
        "\xe9: a\r\n",
    ],
)
def test_row_10_lines(read, extra):
    assert status(read(head(extra=extra))) == 400


def test_row_10_a_bare_lf_is_refused_at_once(read):
    assert status(read(b"GET /ws HTTP/1.1\n")) == 400


def test_row_10_a_bare_cr_is_refused_at_once(read):
    assert status(read(b"GET /ws HTTP/1.1\rH")) == 400


def test_row_11_the_number_of_headers(read):
    room = MAX_HEADERS - 5
    assert isinstance(read(head(extra="X: a\r\n" * room)), Head)
    assert status(read(head(extra="X: a\r\n" * (room + 1)))) == 431
    assert status(read(head(extra="X: a\r\n" * 2000))) == 431


def test_row_12_the_longest_header(read):
    assert isinstance(read(head(extra=f"X: {'a' * (MAX_LINE - 3)}\r\n")), Head)
    assert status(read(head(extra=f"X: {'a' * (MAX_LINE - 2)}\r\n"))) == 431
    assert status(read(head()[:-2] + b"X: " + b"a" * MAX_LINE)) == 431  # judged before its line ends


def test_row_12_the_longest_url(read):
    assert isinstance(read(head("/" + "a" * (MAX_LINE - 1))), Head)
    assert status(read(head("/" + "a" * MAX_LINE))) == 414
    assert status(read(b"GET /" + b"a" * (MAX_LINE + 100))) == 414


def test_row_12_the_longest_head(read):
    line = f"X: {'a' * 8000}\r\n"
    assert isinstance(read(head(extra=line * (MAX_HEAD // len(line) - 1))), Head)
    assert status(read(head(extra=line * (MAX_HEAD // len(line) + 1)))) == 431


@pytest.mark.parametrize("value", ['x; a="' + '\\"' * 25_000, " " * 50_000 + "\x00", "," * 50_000])
def test_row_16_long_strings_cost_nothing(value):
    begin = time.process_time()
    assert status(whole(head(sec_websocket_extensions=value))) in (400, 431)
    assert time.process_time() - begin < 0.01


def test_row_16_a_line_of_the_longest_that_fails_at_its_end_costs_nothing():
    lines = f"X: {' ' * 8000}\r\n" * 7 + "Y: " + " " * 7000 + "\x00\r\n"
    begin = time.process_time()
    assert status(whole(head(extra=lines))) == 400
    assert time.process_time() - begin < 0.01


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://other.example/ws?file=a", "/ws", (("file", "a"),)),
        ("WSS://other.example", "/", ()),
        ("https://other.example?a=b", "/", (("a", "b"),)),
    ],
)
def test_an_absolute_target_brings_its_own_host(target, path, query):
    found = whole(head(target))
    assert (found.path, found.query, found.headers["host"]) == (path, query, "other.example")


def test_an_empty_line_before_the_request_is_ignored_once():
    assert whole(b"\r\n" + head()) == whole(head())
    assert status(whole(b"\r\n\r\n" + head())) == 400
    assert byte_by_byte(b"\r\n" + head()) == whole(head())


def test_too_many_parameters_are_named():
    refused = whole(head("/ws?" + "&".join(f"file=f{number}" for number in range(65))))
    assert "64 query parameters" in refused.message
