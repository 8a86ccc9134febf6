import json
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from homing.cluster.errors import CommandError, ConfigurationMistake, RouterAway
from homing.command import failures, root

VERBS = [
    "up",
    "token",
    "listen",
    "push",
    "locate",
    "presence",
    "watch",
    "join",
    "leave",
    "reply",
    "disconnect",
    "trace",
    "bench",
    "compare",
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_has_an_example(verb):
    text = CliRunner().invoke(root.root, [verb, "--help"]).output
    assert "Example" in text
    assert f"homing {verb}" in text or verb == "token"


def test_the_command_lists_every_verb_and_imports_nothing_heavy():
    script = (
        "import sys; from homing.command import root; print(root.root.list_commands(None)); "
        "print([m for m in ('grpc', 'aiohttp', 'google.protobuf', 'asyncio', 'msgspec', 'bench') if m in sys.modules])"
    )
    lines = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    assert lines[0] == str([*VERBS, "gateway", "router"])
    assert lines[1] == "[]"


def run_main(monkeypatch, error):
    @click.command()
    def verb():
        raise error

    monkeypatch.setattr(root, "root", verb)
    monkeypatch.setattr(sys, "argv", ["homing"])
    with pytest.raises(SystemExit) as stopped:
        root.main()
    return stopped.value.code


def test_a_command_error_is_printed_on_one_line(monkeypatch, capsys):
    assert run_main(monkeypatch, CommandError("no such place")) == 1
    assert capsys.readouterr().err == "homing: no such place\n"


def test_an_internal_error_is_printed_on_one_line(monkeypatch, capsys):
    monkeypatch.delenv("HOMING_DEBUG", raising=False)
    assert run_main(monkeypatch, RuntimeError("odd")) == 1
    printed = capsys.readouterr().err
    assert printed == "homing: internal error: RuntimeError: odd (HOMING_DEBUG=1 shows the stack trace)\n"


def test_a_refusal_keeps_its_status(monkeypatch):
    assert run_main(monkeypatch, SystemExit(2)) == 2


def run_homing(arguments, stdout):
    command = [sys.executable, "-P", "-m", "homing", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=20)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["push", "--help"], ["gateway", "--help"]])
def test_a_full_disk_is_one_line(arguments):
    with open("/dev/full", "wb") as full:
        done = run_homing(arguments, full)
    assert (done.returncode, done.stderr) == (1, "homing: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("arguments", [["--help"], ["push", "--json"]])
def test_a_closed_pipe_ends_a_verb_as_sigpipe_does(arguments):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = run_homing(arguments, pipe)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("error", "status", "code", "field"),
    [
        (CommandError("no"), 1, "FAILED_PRECONDITION", ""),
        (RouterAway("no"), 1, "UNAVAILABLE", ""),
        (ConfigurationMistake("no"), 2, "INVALID_ARGUMENT", ""),
        (click.UsageError("no"), 2, "INVALID_ARGUMENT", ""),
        (click.BadParameter("no", param=click.Option(["--event"])), 2, "INVALID_ARGUMENT", "--event"),
        (RuntimeError("no"), 1, "INTERNAL", ""),
    ],
)
def test_with_json_a_failure_is_json_too(monkeypatch, capsys, error, status, code, field):
    monkeypatch.delenv("HOMING_DEBUG", raising=False)
    assert failures.report(error, ["verb", "--json"]) == status
    printed = json.loads(capsys.readouterr().out)["error"]
    assert (printed["code"], printed["field"]) == (code, field)
    assert "no" in printed["message"]


def test_a_file_that_cannot_be_used_is_named(capsys):
    assert failures.report(PermissionError(13, "Permission denied", "/run/lock"), []) == 1
    assert capsys.readouterr().err == "homing: /run/lock: Permission denied\n"


def test_json_after_two_dashes_is_no_option(capsys):
    assert failures.report(CommandError("no"), ["verb", "--", "--json"]) == 1
    assert capsys.readouterr().err == "homing: no\n"


def test_an_interrupted_verb(capsys):
    assert failures.report(click.Abort(), []) == 1
    assert capsys.readouterr().err == "Aborted!\n"


@pytest.mark.parametrize("service", ["gateway", "router"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_a_services_help_has_its_options_and_an_example(service, option):
    done = run_homing([service, option], subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"homing {service} --config .homing/homing.toml" in done.stdout
    assert "--set SECTION.KEY=VALUE" in done.stdout


@pytest.mark.parametrize("verb", [["locate", "--user"], ["join"], ["push", "--event", "e", "--everyone", "--data"]])
def test_an_argument_that_is_not_utf8_is_usage(verb):
    done = run_homing([*verb, b"a\xff", "--router", "127.0.0.1:1", "--user", "u"][: len(verb) + 3], subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "homing: an argument is not UTF-8: 'a\\udcff'\n"


def run_in_shell(redirection, *arguments):
    """Run the command with a closed stream, as a shell closes it."""
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-P", "-m", "homing", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("arguments", [["--help"], ["token", "--user", "ada"], ["push", "--json"]])
def test_a_closed_stdout_is_one_line(arguments):
    done = run_in_shell(">&-", *arguments)
    assert (done.returncode, done.stderr) == (1, "homing: cannot write the output: stdout is closed\n")


def test_a_service_needs_no_stdout():
    done = run_in_shell(">&-", "router", "--set", "x")
    assert (done.returncode, done.stderr.startswith("configuration: --set x: ")) == (2, True)


@pytest.mark.parametrize("arguments", [["locate", "--user"], ["router", "--set", "x"], ["gateway", "--help"]])
def test_a_closed_stderr_changes_no_status(arguments):
    assert run_in_shell("2>&-", *arguments).returncode == run_in_shell("", *arguments).returncode
    assert run_in_shell(">&- 2>&- <&-", *arguments).returncode in (0, 1, 2)


def test_data_from_a_closed_stdin_is_an_error():
    done = run_in_shell("<&-", "push", "--user", "ada", "--event", "e", "--data", "-", "--router", "127.0.0.1:1")
    assert (done.returncode, done.stderr) == (1, "homing: --data: cannot read stdin: it is closed\n")


def test_json_is_what_the_parser_took_for_an_option():
    done = run_homing(["push", "--event", "--json", "--user", "ada", "--router", "127.0.0.1:1"], subprocess.PIPE)
    assert (done.returncode, done.stdout) == (1, "")
    done = run_homing(["push", "--user", "ada", "--event", "e", "--ttl", "soon", "--json"], subprocess.PIPE)
    assert json.loads(done.stdout)["error"]["field"] == "--ttl"
