"""`homing trace`: the drawing, and wrong usage. tests/cluster/test_trace_verb.py uses a stub of Jaeger."""

import sys

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from homing.cluster.errors import CommandError
from homing.command import jaeger, waterfall
from homing.command.collected_traces import CompleteTrace
from homing.command.span_tree import build_tree
from homing.command.trace import trace
from homing.command.up import up

ID = "0af7651916cd43dd8448eb211c80319c"


def span(name, number, parent, start, duration, process="p1", **tags):
    references = [{"refType": "CHILD_OF", "traceID": ID, "spanID": parent}] if parent else []
    return {
        "spanID": number,
        "operationName": name,
        "references": references,
        "startTime": 1_000_000 + start,
        "duration": duration,
        "processID": process,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


TRACE = {
    "traceID": ID,
    "processes": {
        "p1": {"serviceName": "homing-router", "tags": [{"key": "service.instance.id", "value": "r"}]},
        "p2": {"serviceName": "homing-gateway", "tags": [{"key": "service.instance.id", "value": "g0"}]},
    },
    "spans": [
        span("deliver", "d", "h", 250, 500, "p2", **{"homing.sessions": 2}),
        span("hop", "h", "p", 200, 700),
        span("hop", "i", "p", 210, 100, error=True, **{"otel.status_description": "unreachable"}),
        span("push", "p", "the caller's span, which is not in the trace", 0, 1_000),
    ],
}


def read_trace():
    return jaeger.read(msgspec.convert(TRACE, jaeger.JaegerTrace))


def test_children_follow_their_parents_with_bars_in_scale():
    lines = list(waterfall.draw(ID, read_trace()))
    assert lines[0] == f"trace {ID}: 4 spans, 1.000 ms"
    names = [line.split("│█")[0].split("  homing")[0].rstrip() for line in lines[1:]]
    assert names == ["push", "├ hop", "│ └ deliver", "└ hop"]
    assert "homing-gateway g0" in lines[3]
    assert lines[1].count("█") == waterfall.BAR_WIDTH
    assert lines[3].count("█") == waterfall.BAR_WIDTH // 2
    assert lines[3].endswith("0.500 ms")
    assert lines[4].endswith("0.100 ms  ! unreachable")
    assert len({line.index("ms") for line in lines[1:]}) == 1, "columns are straight"


def test_the_shortest_bar_is_an_eighth_of_a_character():
    read = read_trace()
    short = read[-1]._replace(span="another", start_us=1_000, duration_us=0)
    assert any("▏" in line for line in waterfall.draw(ID, [*read, short]))


def run(*arguments):
    return CliRunner().invoke(trace, arguments)


@pytest.mark.parametrize("arguments", [["short"], [ID + "0"], [ID, "--jaeger", "somewhere"]])
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "is not" in done.output


@pytest.mark.parametrize(
    "arguments", [[], [ID, "--collect"], ["--collect", "--grpc", "4317"], ["--collect", "--http", "h:99999"]]
)
def test_wrong_usage_of_the_collector(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "name a trace's ID, or --collect" in done.output or "is not an address such as" in done.output


def test_the_collector_draws_what_is_complete(monkeypatch):
    async def collect(grpc, http, on_ready, show):
        on_ready(grpc, http)
        show(CompleteTrace(ID, read_trace()))

    monkeypatch.setattr("homing.command.trace_collector.collect", collect)
    done = run("--collect", "--http", "[::1]:0")
    assert done.exit_code == 0
    assert "Collecting at http://127.0.0.1:4317 (OTLP over gRPC) and http://[::1]:0 (over HTTP)" in done.output
    assert f"trace {ID}: 4 spans" in done.output


def test_the_collector_without_its_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "homing.command.trace_collector", None)
    error = run("--collect").exception
    assert isinstance(error, CommandError)
    assert "pip install 'homing[server]'" in str(error)


@pytest.mark.parametrize("url", ["127.0.0.1:4317", "http://h", "http://h:99999", "ftp://h:1"])
def test_a_bad_collector_is_wrong_usage_of_up(url, tmp_path):
    done = CliRunner().invoke(up, ["--run-dir", str(tmp_path), "--otlp", url])
    assert done.exit_code == 2
    assert f"'--otlp': '{url}' is not a URL such as" in done.output


def drawn_span(number, parent, name="hop", error=""):
    return waterfall.DrawnSpan(str(number), str(parent), name, "homing-router r", 0, 10, {}, error)


def test_spans_that_are_each_others_parents_are_drawn_once_and_named():
    spans = [drawn_span(1, 2), drawn_span(2, 1), drawn_span(3, 3, "own parent"), drawn_span(4, 2), drawn_span(5, "")]
    header, *lines = waterfall.draw(ID, spans)
    assert header == f"trace {ID}: 5 spans, 0.010 ms; 2 cycles of parents broken"
    assert [line.split("  homing")[0].rstrip() for line in lines] == ["hop", "└ hop", "  └ hop", "own parent", "hop"]


def test_a_span_without_an_id_is_nobodys_parent():
    header, *lines = waterfall.draw(ID, [drawn_span("", ""), drawn_span("", ""), drawn_span(1, "")])
    assert header == f"trace {ID}: 3 spans, 0.010 ms"
    assert len(lines) == 3


def test_a_span_that_came_twice_is_drawn_once():
    header, *lines = waterfall.draw(ID, [drawn_span(number, number - 1) for number in range(1, 31) for _ in range(2)])
    assert header == f"trace {ID}: 30 spans, 0.010 ms; 30 more with the id of another are left out"
    assert len(lines) == 30


def test_a_chain_is_drawn_however_long_it_is():
    lines = list(waterfall.draw(ID, [drawn_span(number, number - 1) for number in range(1, 1501)]))
    assert len(lines) == 1501
    assert "1499: hop" in lines[-1]
    assert max(map(len, lines)) < 200


def test_what_others_named_cannot_write_on_the_terminal():
    text = "\n".join(waterfall.draw(ID, [drawn_span(1, "", "x\x1b[2J\nforged" + "y" * 1000, "\u202e" + "z" * 1000)]))
    assert "x\\x1b[2J\\nforged" in text
    assert "\\u202e" in text
    assert len(text.splitlines()) == 2
    assert len(text) < 500


def test_a_number_that_json_has_not_is_null(monkeypatch):
    async def collect(grpc, http, on_ready, show):
        show(CompleteTrace(ID, [drawn_span(1, "")._replace(attributes={"a": float("nan"), "b": "\x9b"})]))

    monkeypatch.setattr("homing.command.trace_collector.collect", collect)
    done = run("--collect", "--json")
    assert '"attributes":{"a":null,"b":"\\u009b"}' in done.output


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_every_span_is_in_the_tree_once_whatever_the_parents_are(pairs):
    spans = [drawn_span(number or "", parent or "") for number, parent in pairs]
    tree = build_tree(spans)
    indexes = [index for _, index in tree.rows]
    assert len(set(indexes)) == len(indexes) == len(spans) - tree.repeated
    assert {spans[index].span for index in indexes} == {span.span for span in spans}
