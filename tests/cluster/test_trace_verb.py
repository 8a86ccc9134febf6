"""`homing trace` against a stub of Jaeger's query API with scripted responses."""

import contextlib
import json
import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread

import pytest
from click.testing import CliRunner

from homing.cluster.errors import CommandError
from homing.command.jaeger import fetch
from homing.command.trace import trace
from tests.unit.homing.command.test_trace import ID, TRACE


@pytest.fixture
def jaeger():
    """A stub of Jaeger's query API; `response` is its next status and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = self.server.response
            self.server.path = self.path
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(*arguments):
    return CliRunner().invoke(trace, arguments)


def test_a_trace_is_drawn_or_printed_as_json(jaeger):
    jaeger.response = 200, json.dumps({"data": [TRACE]}).encode()
    drawn = run(ID, "--jaeger", jaeger.url)
    assert drawn.exit_code == 0
    assert drawn.output.startswith(f"trace {ID}: 4 spans")
    assert jaeger.path == f"/api/traces/{ID}"
    result = json.loads(run(ID, "--jaeger", jaeger.url + "/", "--json").output)
    assert result["trace_id"] == ID
    assert [one["name"] for one in result["spans"]] == ["push", "hop", "hop", "deliver"]
    assert result["spans"][3]["attributes"] == {"homing.sessions": 2}
    assert result["spans"][2]["error"] == "unreachable"


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ((404, b'{"errors":[{"code":404,"msg":"trace not found"}]}'), "has no trace"),
        ((200, b'{"data":[]}'), "has no trace"),
        ((503, b""), "answered 503"),
        ((200, b"<html>"), "is no query API of Jaeger"),
        ((200, b"[]"), "is no query API of Jaeger"),
        ((200, b'{"data":{}}'), "is no query API of Jaeger"),
        ((200, b'{"data":[{"spans":[{"spanID":"a"}]}]}'), "is no query API of Jaeger"),
        ((200, b'{"data":[{"spans":[{"spanID":"a","startTime":1e400,"duration":1}]}]}'), "is no query API of Jaeger"),
        ((200, b'{"data":[{"spans":[{"spanID":5,"startTime":1,"duration":1}]}]}'), "is no query API of Jaeger"),
        ((200, b"[" * 100_000), "is no query API of Jaeger"),
        ((200, b'"\xff"'), "is no query API of Jaeger"),
        ((200, b"{}"), "has no trace"),
    ],
)
def test_every_failure_is_a_one_line_error(jaeger, response, words):
    jaeger.response = response
    error = run(ID, "--jaeger", jaeger.url).exception
    assert isinstance(error, CommandError)
    assert words in str(error)
    assert jaeger.url in str(error)


def test_no_jaeger_at_all(jaeger):
    error = run(ID, "--jaeger", "http://127.0.0.1:1").exception
    assert isinstance(error, CommandError)
    assert "no Jaeger answers at http://127.0.0.1:1" in str(error)


def test_a_trace_of_which_only_the_spans_are_there(jaeger):
    jaeger.response = 200, b'{"data":[{"spans":[{"spanID":"a","startTime":1,"duration":1}],"processes":null}]}'
    assert run(ID.upper(), "--jaeger", jaeger.url).output.startswith(f"trace {ID}: 1 spans")


def test_a_server_that_sends_a_byte_now_and_then_is_left_in_time(jaeger):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = Event()

        def trickle():
            with server.accept()[0] as connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while not ended.wait(0.05):
                    connection.sendall(b" ")

        thread = Thread(target=trickle)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(CommandError, match=r"no Jaeger answers at .* \(no whole answer within 0\.3 s\)"):
            fetch(url, ID, 0.3)
        assert time.monotonic() - began < 2
        ended.set()
        thread.join()
