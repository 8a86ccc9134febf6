"""What a person gets wrong on a client's command line is usage, at once, with what is right."""

import pytest
from click.testing import CliRunner

from homing.command.listen import listen
from homing.command.push import push
from homing.command.token import token


@pytest.mark.parametrize("verb", [listen, token])
def test_a_reserved_user_is_refused_before_the_gateway_would(verb):
    done = CliRunner().invoke(verb, ["--user", "~x"])
    assert done.exit_code == 2
    assert "'~x' begins with ~, which is reserved for anonymous users" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8400",
        "127.0.0.1:8400",
        "ws://",
        "ws://a b/",
        "ws://h:1x/",
        "ws://u@h/",
        "ws://h:99999/",
        "ws://h:0/",
    ],
)
def test_a_url_that_is_no_websocket_url_is_refused(url):
    done = CliRunner().invoke(listen, ["--user", "ada", "--url", url])
    assert done.exit_code == 2
    assert "is not a WebSocket URL such as ws://127.0.0.1:8400/ws" in " ".join(done.stderr.split())


@pytest.mark.parametrize("verb", [listen, token])
def test_without_a_cluster_it_says_how_one_is_started(verb, tmp_path):
    done = CliRunner().invoke(verb, ["--user", "ada", "--run-dir", str(tmp_path)])
    assert "`homing up`" in str(done.exception)


@pytest.mark.parametrize("token", ["a\nb", "a b", "", "é", "a\x1b"])
def test_a_token_that_no_header_carries_is_refused(token):
    done = CliRunner().invoke(listen, ["--user", "ada", "--token", token])
    assert done.exit_code == 2
    assert "a token has neither white space nor line ends, and is ASCII" in " ".join(done.stderr.split())


@pytest.mark.parametrize("verb", [listen, token])
def test_an_empty_run_dir_is_refused(verb):
    done = CliRunner().invoke(verb, ["--user", "ada", "--run-dir", ""])
    assert done.exit_code == 2
    assert "'' is no path; the working directory is ." in " ".join(done.stderr.split())


@pytest.mark.parametrize("data", ["@", "@\0"])
def test_data_from_no_file_is_refused(data):
    done = CliRunner().invoke(push, ["--user", "ada", "--event", "e", "--data", data])
    assert done.exit_code == 2
    assert "names no file" in " ".join(done.stderr.split())


def test_data_without_an_end_is_refused():
    done = CliRunner().invoke(push, ["--user", "ada", "--event", "e", "--data", "@/dev/zero"])
    assert "--data: /dev/zero has more than 16777216 bytes" in str(done.exception)


def test_a_router_is_one_address():
    done = CliRunner().invoke(push, ["--user", "ada", "--event", "e", "--router", "a:1,b:1"])
    assert done.exit_code == 2
    assert "each in an argument or an option (--router) of its own" in " ".join(done.stderr.split())
