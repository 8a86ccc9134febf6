"""`homing push` and `locate` against a stub router that accepts or refuses by script."""

import contextlib
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner

from homing.cluster import cluster_file
from homing.cluster.errors import CommandError
from homing.command.disconnect import disconnect
from homing.command.locate import locate
from homing.command.membership import join, leave
from homing.command.push import push
from homing.command.reply import reply
from homing.command.watch import watch
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterServicer, add_RouterServicer_to_server


class StubRouter(RouterServicer):
    """Keeps the last request. Refuses a push whose event is the name of a gRPC status with that status."""

    def Push(self, request, context):
        self.request = request
        if request.event.isupper():
            context.set_trailing_metadata((("homing-field", "event"),))
            context.abort(grpc.StatusCode[request.event], "event: not this one")
        if request.event == "item":
            return pb.PushResponse(report=pb.PushReport(error=pb.Error(code="X", message="no", field="target")))
        report = pb.PushReport(push_id=request.push_id, counts={"WRITTEN": 1})
        report.trace_id = "a" * 32 if request.event == "traced" else ""
        return pb.PushResponse(report=report)

    def Join(self, request, context):
        self.request = request
        return pb.JoinResponse(sessions=2)

    def Leave(self, request, context):
        self.request = request
        return pb.LeaveResponse(sessions=1)

    def Disconnect(self, request, context):
        self.request = request
        return pb.DisconnectResponse(sessions=0)

    def Reply(self, request, context):
        self.request = request
        return pb.ReplyResponse(outcome=pb.Delivery.WRITTEN)

    def Watch(self, request, context):
        self.request = request
        if request.user == "forbidden":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        yield pb.WatchResponse(came=pb.PresentSession(session=7, user="ada", node="g0"))
        yield pb.WatchResponse(synced=True)
        yield pb.WatchResponse(left=7)
        context.abort(grpc.StatusCode.INTERNAL, "enough")

    def Locate(self, request, context):
        self.request = request
        return pb.LocateResponse(why="nobody is there")


@pytest.fixture(scope="module")
def router():
    stub = StubRouter()
    server = grpc.server(ThreadPoolExecutor(2))
    add_RouterServicer_to_server(stub, server)
    stub.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield stub
    server.stop(None).wait()


@contextlib.contextmanager
def dying_router():
    """A server that speaks HTTP/2 until the first call, and then closes the connection."""

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # an empty SETTINGS frame
                received = b""
                while b"/homing.v1.Router/" not in received and (more := connection.recv(65536)):
                    received += more

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def run(verb, router, *arguments):
    return CliRunner().invoke(verb, ["--router", router.address, *arguments])


def test_every_flag_reaches_the_request(router):
    done = run(
        push,
        router,
        *("--file", "notes", "--namespace", "/chat", "--event", "e", "--data", "[1]", "--content-type", "text/x"),
        *("--push-id", "p", "--ttl", "1500ms", "--except", "5", "--except", "6", "--max-deliveries", "0", "--json"),
    )
    assert done.exit_code == 0
    request = router.request
    assert (request.target.file, request.target.namespace) == ("notes", "/chat")
    assert (request.event, request.data, request.content_type, request.push_id) == ("e", b"[1]", "text/x", "p")
    assert (request.ttl.seconds, request.ttl.nanos) == (1, 500_000_000)
    assert list(request.except_sessions) == [5, 6]
    assert request.HasField("max_deliveries")
    assert json.loads(done.stdout)["report"]["push_id"] == "p"


def test_absent_options_are_left_to_the_router(router):
    assert run(push, router, "--everyone", "--event", "e").exit_code == 0
    request = router.request
    assert request.target.everyone
    assert request.data == b"null"
    assert not request.HasField("ttl")
    assert not request.HasField("max_deliveries")


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_a_refusal_is_status_one_with_its_field(router, status):
    done = run(push, router, "--user", "ada", "--event", status)
    assert (done.exit_code, done.stderr) == (1, "homing: refused: event: not this one\n")
    done = run(push, router, "--user", "ada", "--event", status, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"] == {"code": status, "message": "event: not this one", "field": "event"}


def test_an_error_inside_the_report_is_a_refusal_too(router):
    done = run(push, router, "--user", "ada", "--event", "item")
    assert (done.exit_code, done.stderr) == (1, "homing: refused: no (field: target)\n")


def test_locate(router):
    done = run(locate, router, "--session", "7")
    assert (done.exit_code, done.stdout) == (0, "nobody is there\n")
    assert router.request.target.session == 7
    assert json.loads(run(locate, router, "--user", "ada", "--json").stdout)["routes"] == []


def test_the_cluster_file_names_the_router(router, tmp_path):
    routers = [cluster_file.RouterEntry(router.address, "", "", 1)]
    cluster_file.write(tmp_path, cluster_file.ClusterFile(etcd=[], redis="", gateways=[], routers=routers, servers={}))
    done = CliRunner().invoke(push, ["--run-dir", str(tmp_path), "--user", "ada", "--event", "e"])
    assert done.exit_code == 0
    assert done.stdout.startswith(f"push {router.request.push_id}: 1 WRITTEN\n")
    assert len(router.request.push_id) == 22


def test_a_cluster_without_a_router_says_so(tmp_path):
    cluster_file.write(tmp_path, cluster_file.ClusterFile(etcd=[], redis="", gateways=[], routers=[], servers={}))
    done = CliRunner().invoke(push, ["--run-dir", str(tmp_path), "--user", "ada", "--event", "e"])
    assert isinstance(done.exception, CommandError)
    assert "names no router: all have died" in str(done.exception)


def test_an_unreachable_router_is_an_error_and_no_refusal():
    done = CliRunner().invoke(push, ["--router", "127.0.0.1:1", "--user", "ada", "--event", "e"])
    assert isinstance(done.exception, CommandError)
    assert str(done.exception).startswith("no router answers (127.0.0.1:1: ")


def test_a_push_may_wait_for_acks_and_prints_its_trace(router):
    done = run(push, router, "--user", "ada", "--event", "traced", "--ack-timeout", "1500ms")
    assert router.request.ack_timeout.ToNanoseconds() == 1_500_000_000
    assert f"\ntrace {'a' * 32}\n" in done.stdout


CHANGES = [
    (join, ["notes", "--user", "ada"], {"user": "ada", "file": "notes"}, "joined: 2 sessions\n", {"sessions": 2}),
    (leave, ["notes", "--session", "7"], {"session": 7, "file": "notes"}, "left: 1 session\n", {"sessions": 1}),
    (
        disconnect,
        ["--user", "ada", "--reason", "bye", "--allow-reconnect"],
        {"user": "ada", "reason": "bye", "allow_reconnect": True},
        "disconnected: 0 sessions\n",
        {"sessions": 0},
    ),
    (
        reply,
        ["--session", "7", "--ack", "3", "--data", "[1]"],
        {"session": 7, "ack": 3, "data": b"[1]"},
        "WRITTEN\n",
        {"outcome": "WRITTEN"},
    ),
]


@pytest.mark.parametrize(("verb", "arguments", "fields", "text", "shown"), CHANGES)
def test_a_verb_carries_its_fields_and_prints_its_answer(router, verb, arguments, fields, text, shown):
    done = run(verb, router, *arguments)
    assert (done.exit_code, done.stdout) == (0, text)
    request = router.request
    target = getattr(request, "target", request)
    for name, value in fields.items():
        assert getattr(request if hasattr(request, name) else target, name) == value
    assert json.loads(run(verb, router, *arguments, "--json").stdout) == shown


def test_a_reply_may_be_an_error(router):
    run(reply, router, "--session", "7", "--ack", "3", "--error", "conflict: it: changed")
    assert (router.request.error.code, router.request.error.message) == ("conflict", "it: changed")


@pytest.mark.parametrize(
    ("verb", "arguments", "text"),
    [
        (push, ["--session", "abc", "--event", "e"], "'abc' is no session id, a number as `homing presence` shows it"),
        (push, ["--session", "0", "--event", "e"], "'0' is no session id"),
        (push, ["--user", "u", "--event", "e", "--except", "x"], "'x' is no session id"),
        (join, ["notes"], "name one target: --session SID or --user UID"),
        (reply, ["--session", "7", "--ack", "3", "--error", "conflict"], "'conflict' is not CODE:MESSAGE"),
        (reply, ["--session", "7", "--ack", "3", "--error", "a:b", "--data", "1"], "either --data or --error"),
        (watch, [], "name one: --user or --nodes"),
        (watch, ["--user", "u", "--nodes"], "name one: --user or --nodes"),
        (locate, ["--everyone", "--router", "http://127.0.0.1:8500"], "without the scheme: 127.0.0.1:8500"),
    ],
)
def test_a_wrong_argument_is_usage_and_says_what_is_right(router, verb, arguments, text):
    done = run(verb, router, *arguments)
    assert done.exit_code == 2
    assert text in " ".join(done.stderr.split())


def test_a_watch_prints_each_change_and_ends_with_the_routers_error(router):
    done = run(watch, router, "--user", "ada", "--json")
    assert [next(iter(json.loads(line))) for line in done.stdout.splitlines()] == ["came", "synced", "left"]
    assert str(done.exception) == "refused: INTERNAL: enough"
    done = run(watch, router, "--user", "ada")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["connected", "synced", "disconnected"]
    assert str(run(watch, router, "--user", "forbidden").exception) == "refused: PERMISSION_DENIED: not you"


def test_the_first_router_that_answers_is_used(router):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_address = f"127.0.0.1:{silent.getsockname()[1]}"
        routers = ["--router", "127.0.0.1:1", "--router", silent_address, "--router", router.address]
        assert CliRunner().invoke(locate, [*routers, "--user", "ada"]).stdout == "nobody is there\n"
        done = CliRunner().invoke(locate, [*routers[:4], "--user", "ada"])
    assert str(done.exception).startswith(f"no router answers (127.0.0.1:1: Connection refused; {silent_address}: ")
    assert str(done.exception).endswith("); is the cluster up (`homing up`), is the address right?")


def test_a_push_whose_router_dies_is_not_sent_twice(router):
    """Until the owners know push_ids that they have delivered, a second try might deliver it twice."""
    with dying_router() as address:
        routers = ["--router", address, "--router", router.address]
        done = CliRunner().invoke(push, [*routers, "--user", "ada", "--event", "e", "--push-id", "once"])
        assert "was lost during the call" in str(done.exception)
        assert str(done.exception).endswith("it may or may not have been delivered; a retry has --push-id once")
        assert CliRunner().invoke(locate, [*routers, "--user", "ada"]).stdout == "nobody is there\n"
