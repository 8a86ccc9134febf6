"""`homing push` and `locate` against a stand-in router that answers or refuses as told."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from click.testing import CliRunner

from homing.cluster import file
from homing.cluster.trouble import CommandError
from homing.command.locate import locate
from homing.command.push import push
from homing.v1 import router_pb2 as pb
from homing.v1.router_pb2_grpc import RouterServicer, add_RouterServicer_to_server


class StandIn(RouterServicer):
    """Keeps what it was asked; a push whose event names a gRPC status is refused with it."""

    def Push(self, request, context):
        self.asked = request
        if request.event.isupper():
            context.set_trailing_metadata((("homing-field", "event"),))
            context.abort(grpc.StatusCode[request.event], "event: not this one")
        if request.event == "item":
            return pb.PushResponse(report=pb.PushReport(error=pb.Error(code="X", message="no", field="target")))
        return pb.PushResponse(report=pb.PushReport(push_id=request.push_id or "made", counts={"WRITTEN": 1}))

    def Locate(self, request, context):
        self.asked = request
        return pb.LocateResponse(why="nobody is there")


@pytest.fixture(scope="module")
def router():
    stand_in = StandIn()
    server = grpc.server(ThreadPoolExecutor(2))
    add_RouterServicer_to_server(stand_in, server)
    stand_in.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield stand_in
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
    asked = router.asked
    assert (asked.target.file, asked.target.namespace) == ("notes", "/chat")
    assert (asked.event, asked.data, asked.content_type, asked.push_id) == ("e", b"[1]", "text/x", "p")
    assert (asked.ttl.seconds, asked.ttl.nanos) == (1, 500_000_000)
    assert list(asked.except_sessions) == [5, 6]
    assert asked.HasField("max_deliveries")
    assert json.loads(done.stdout)["report"]["push_id"] == "p"


def test_what_is_not_said_is_left_to_the_router(router):
    assert run(push, router, "--everyone", "--event", "e").exit_code == 0
    asked = router.asked
    assert asked.target.everyone
    assert asked.data == b"null"
    assert not asked.HasField("ttl")
    assert not asked.HasField("max_deliveries")


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
    assert router.asked.target.session == 7
    assert json.loads(run(locate, router, "--user", "ada", "--json").stdout)["routes"] == []


def test_the_cluster_file_names_the_router(router, tmp_path):
    routers = [file.Router(router.address, "", 1)]
    file.write(tmp_path, file.Cluster(etcd=[], redis="", gateways=[], routers=routers, servers={}))
    done = CliRunner().invoke(push, ["--run-dir", str(tmp_path), "--user", "ada", "--event", "e"])
    assert done.exit_code == 0
    assert done.stdout.startswith("push made: 1 WRITTEN\n")


def test_a_cluster_without_a_router_says_so(tmp_path):
    file.write(tmp_path, file.Cluster(etcd=[], redis="", gateways=[], routers=[], servers={}))
    done = CliRunner().invoke(push, ["--run-dir", str(tmp_path), "--user", "ada", "--event", "e"])
    assert isinstance(done.exception, CommandError)
    assert "names no router: all have died" in str(done.exception)


def test_nobody_there_is_trouble_and_no_refusal():
    done = CliRunner().invoke(push, ["--router", "127.0.0.1:1", "--user", "ada", "--event", "e"])
    assert isinstance(done.exception, CommandError)
    assert str(done.exception).startswith("no router answers at 127.0.0.1:1 (")
