"""What a person gets wrong on a client's command line is usage, at once, with what is right."""

import pytest
from click.testing import CliRunner

from homing.command.listen import listen
from homing.command.token import token


@pytest.mark.parametrize("verb", [listen, token])
def test_a_reserved_user_is_refused_before_the_gateway_would(verb):
    done = CliRunner().invoke(verb, ["--user", "~x"])
    assert done.exit_code == 2
    assert "'~x' begins with ~, which is reserved for anonymous users" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8400", "127.0.0.1:8400", "ws://", "ws://a b/", "ws://h:1x/", "ws://u@h/"]
)
def test_a_url_that_is_no_websocket_url_is_refused(url):
    done = CliRunner().invoke(listen, ["--user", "ada", "--url", url])
    assert done.exit_code == 2
    assert "is not a WebSocket URL such as ws://127.0.0.1:8400/ws" in " ".join(done.stderr.split())


@pytest.mark.parametrize("verb", [listen, token])
def test_without_a_cluster_it_says_how_one_is_started(verb, tmp_path):
    done = CliRunner().invoke(verb, ["--user", "ada", "--run-dir", str(tmp_path)])
    assert "`homing up`" in str(done.exception)
