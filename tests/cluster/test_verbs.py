"""The verbs push, locate, presence, token and listen against a real cluster."""

import json
import signal
import subprocess

import pytest

from tests.support.up import HOMING, Listening

pytestmark = pytest.mark.timeout(60)


def test_a_push_to_viewers_on_two_of_three_gateways_contacts_two(shared_up):
    urls = [gateway["url"] for gateway in shared_up.cluster["gateways"]]
    viewer = ("--user", "ada", "--file", "verbs-1", "--url")
    with Listening(shared_up, *viewer, urls[0]) as one, Listening(shared_up, *viewer, urls[1]) as two:
        for listening in (one, two):
            listening.wait("ok")
        report = shared_up.json("push", "--file", "verbs-1", "--event", "e", "--data", '{"a": [1]}')["report"]
        assert (report["nodes_contacted"], report["owning_nodes"], report["amplification"]) == (2, 2, 1.0)
        assert report["counts"] == {"WRITTEN": 2}
        for listening in (one, two):
            event = listening.wait("event")
            assert (event["event"], event["data"], event["file"]) == ("e", {"a": [1]}, "verbs-1")
            assert event["push"] == report["push_id"]
        routes = shared_up.json("locate", "--file", "verbs-1")["routes"]
        assert sorted(route["node"] for route in routes) == sorted(
            gateway["node_id"] for gateway in shared_up.cluster["gateways"][:2]
        )


def test_a_user_without_a_session_is_offline_and_nobody_is_contacted(shared_up):
    report = shared_up.json("push", "--user", "nobody", "--event", "e")["report"]
    assert report["counts"] == {"OFFLINE": 1}
    assert (report["nodes_contacted"], report["owning_nodes"]) == (0, 0)
    assert "OFFLINE" in shared_up.run("push", "--user", "nobody", "--event", "e").stdout
    assert shared_up.json("locate", "--user", "nobody")["routes"] == []


def test_presence_lists_the_connected_sessions(shared_up):
    urls = [gateway["url"] for gateway in shared_up.cluster["gateways"]]
    viewer = ("--user", "pia", "--file", "presence-1", "--url")
    with Listening(shared_up, *viewer, urls[0]) as one, Listening(shared_up, *viewer, urls[1]) as two:
        sids = sorted(listening.wait("hello")["session"] for listening in (one, two))
        for listening in (one, two):
            listening.wait("ok")
        for target in (("--user", "pia"), ("--file", "presence-1")):
            present = shared_up.json("presence", *target)
            assert sorted(one["session"] for one in present["sessions"]) == sids
            assert (present["total"], present["incomplete_nodes"]) == (2, [])
            assert sids[0] in shared_up.run("presence", *target).stdout
    assert shared_up.run("presence", "--user", "nobody").stdout == "nobody\n"
    assert shared_up.run("presence").returncode == 2


def test_a_session_and_everyone_but_one(shared_up):
    with Listening(shared_up, "--user", "bob") as bob, Listening(shared_up, "--user", "eve") as eve:
        sessions = {name: listening.wait("hello")["session"] for name, listening in (("bob", bob), ("eve", eve))}
        report = shared_up.json("push", "--session", sessions["bob"], "--event", "one")["report"]
        assert [delivery["user"] for delivery in report["deliveries"]] == ["bob"]
        report = shared_up.json("push", "--everyone", "--except", sessions["bob"], "--event", "all")["report"]
        assert sessions["bob"] not in [delivery["session"] for delivery in report["deliveries"]]
        assert eve.wait("event")["event"] == "all"
        assert bob.wait("event")["event"] == "one"


def test_membership_and_the_end_of_a_session_from_the_command(shared_up):
    with Listening(shared_up, "--user", "mia") as mia:
        session = mia.wait("hello")["session"]
        assert shared_up.json("join", "verbs-2", "--user", "mia") == {"sessions": 1}
        assert mia.wait("joined")["file"] == "verbs-2"
        assert shared_up.json("push", "--file", "verbs-2", "--event", "e")["report"]["counts"] == {"WRITTEN": 1}
        assert shared_up.run("leave", "verbs-2", "--session", session).stdout == "left: 1 session\n"
        assert mia.wait("left")["file"] == "verbs-2"
        assert shared_up.json("reply", "--session", session, "--ack", "0")["outcome"] == "WRITTEN"
        assert shared_up.json("disconnect", "--user", "mia") == {"sessions": 1}
    assert shared_up.json("reply", "--session", session, "--ack", "0")["outcome"] == "OFFLINE"
    refused = shared_up.run("disconnect", "--user", "mia", "--reason", "x" * 124, "--json")
    assert (refused.returncode, json.loads(refused.stdout)["error"]["field"]) == (1, "reason")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_prints_what_is_there_and_ends_when_it_is_told_to(shared_up, stop):
    command = shared_up.command("watch", "--nodes", "--json")
    nodes = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        for line in watching.stdout:
            change = json.loads(line)
            if "synced" in change:
                break
            nodes.add(change["node_up"]["node"])
        watching.send_signal(stop)
        assert (watching.wait(10), watching.stderr.read()) in ((0, ""), (-signal.SIGTERM, ""))
    assert nodes >= {gateway["node_id"] for gateway in shared_up.cluster["gateways"]}


def test_data_from_stdin_and_of_another_type(shared_up):
    with Listening(shared_up, "--user", "carl") as carl:
        carl.wait("hello")
        arguments = ("push", "--user", "carl", "--event", "raw", "--data", "-", "--content-type", "text/plain")
        assert shared_up.run(*arguments, stdin="plain words").returncode == 0
        event = carl.wait("event")
        assert (event["content_type"], event["data"]) == ("text/plain", "cGxhaW4gd29yZHM=")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--user", "ada", "--event", "homing:x"), "event"),
        (("--user", "ada", "--event", "e", "--data", "{"), "data"),
        (("--user", "", "--event", "e"), "target"),
    ],
)
def test_a_refused_push_names_the_field(shared_up, arguments, field):
    done = shared_up.run("push", *arguments, "--json")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1
    assert error["code"] == "INVALID_ARGUMENT"
    assert error["field"].startswith(field)
    printed = shared_up.run("push", *arguments)
    assert printed.returncode == 1
    assert printed.stderr.startswith("homing: refused: ")
    assert field in printed.stderr


def test_too_much_data_is_refused_by_its_field(shared_up, tmp_path):
    (tmp_path / "big").write_text(json.dumps("x" * 1_000_001))
    done = shared_up.run("push", "--user", "ada", "--event", "e", "--data", f"@{tmp_path}/big", "--json")
    assert json.loads(done.stdout)["error"]["field"] == "data"


def test_wrong_usage_is_status_two(shared_up):
    done = shared_up.run("push", "--event", "e")
    assert done.returncode == 2
    assert "name one target" in done.stderr


def test_an_unreachable_router_is_a_one_line_error():
    command = [*HOMING, "push", "--router", "127.0.0.1:1", "--user", "ada", "--event", "e"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("homing: no router answers (127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


def test_a_token_without_a_grant_cannot_join(shared_up):
    token = shared_up.run("token", "--user", "ada").stdout.strip()
    assert token.count(".") == 2
    with Listening(shared_up, "--user", "ada", "--file", "secret", "--token", token) as ada:
        assert ada.wait("error")["code"] == "forbidden"


def test_a_bad_token_ends_listen_with_a_one_line_error(shared_up):
    done = shared_up.run("listen", "--user", "ada", "--token", "no.such.token")
    assert done.returncode == 1
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


def test_listen_reconnects_after_its_gateway_died(tmp_path, shared_up):
    added = subprocess.Popen(
        [*HOMING, "gateway", "--config", shared_up.run_dir / "homing.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = json.loads(added.stdout.readline())["url"]
        with Listening(shared_up, "--user", "dora", "--url", url) as dora:
            first = dora.wait("hello")
            port = url.split("/")[2]
            added.kill()
            added.communicate()
            added = subprocess.Popen(
                [*HOMING, "gateway", "--config", shared_up.run_dir / "homing.toml", "--listen", port],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            second = dora.wait("hello")
            assert second["node"] != first["node"]
    finally:
        added.terminate()
        added.communicate(timeout=20)


def test_listen_ends_when_nobody_reads_it(shared_up):
    command = shared_up.command("listen", "--json", "--user", "ada")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listen:
        assert json.loads(listen.stdout.readline())["type"] == "hello"
        listen.stdout.close()
        assert (listen.wait(10), listen.stderr.read()) == (141, b"")


def test_up_prints_to_a_full_disk_one_line(tmp_path):
    with open("/dev/full", "wb") as full:
        command = [*HOMING, "up", "--ports", "random", "--run-dir", str(tmp_path)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (1, "homing: cannot write the output: No space left on device\n")


def test_a_service_whose_ready_line_cannot_be_printed(shared_up):
    with open("/dev/full", "wb") as full:
        command = [*HOMING, "gateway", "--config", str(shared_up.run_dir / "homing.toml")]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=50)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "stdout: cannot print the ready line: No space left on device"
    assert "Traceback" not in done.stderr
