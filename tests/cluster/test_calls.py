"""`homing push` and `locate` against a stub router that accepts or refuses by script."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner

from homing.cluster import cluster_file
from homing.cluster.errors import CommandError
from homing.command.locate import locate
from homing.command.push import push
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
        return pb.PushResponse(report=pb.PushReport(push_id=request.push_id or "made", counts={"WRITTEN": 1}))

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
    assert done.stdout.startswith("push made: 1 WRITTEN\n")


def test_a_cluster_without_a_router_says_so(tmp_path):
    cluster_file.write(tmp_path, cluster_file.ClusterFile(etcd=[], redis="", gateways=[], routers=[], servers={}))
    done = CliRunner().invoke(push, ["--run-dir", str(tmp_path), "--user", "ada", "--event", "e"])
    assert isinstance(done.exception, CommandError)
    assert "names no router: all have died" in str(done.exception)


def test_an_unreachable_router_is_an_error_and_no_refusal():
    done = CliRunner().invoke(push, ["--router", "127.0.0.1:1", "--user", "ada", "--event", "e"])
    assert isinstance(done.exception, CommandError)
    assert str(done.exception).startswith("no router answers at 127.0.0.1:1 (")
