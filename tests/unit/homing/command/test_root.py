import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from homing.cluster.errors import CommandError
from homing.command import root

VERBS = ["up", "token", "listen", "push", "locate", "presence", "trace", "bench", "compare"]


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
