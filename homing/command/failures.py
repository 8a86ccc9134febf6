"""How a verb's failure is printed: a line on stderr for a person, or with --json an error on stdout, and a status.

The JSON has the form of the API's own errors (docs/api.md, "Statuses"), with gRPC's names of codes.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import click

from homing.cluster.errors import CommandError
from homing.command import output
from homing.command.printable import printable_lines


def report(error: Exception, arguments: Sequence[str], as_json: bool | None = None) -> int:
    """Print the failure of the command line `arguments`. `as_json`: whether it has --json; None: it was not parsed so
    far. Returns the exit status."""
    try:
        with output.output_errors():
            status = _report(error, arguments, "--json" in _options(arguments) if as_json is None else as_json)
    except output.OutputError as failed:
        status = failed.exit_code
    output.discard()
    return status


def _report(error: Exception, arguments: Sequence[str], as_json: bool) -> int:
    match error:
        case output.OutputClosed():
            return error.exit_code
        case output.OutputError():
            click.echo(f"homing: {error}", err=True)
            return error.exit_code
        case CommandError():
            return _print(error.code, str(error), error.exit_code, as_json)
        case click.ClickException():
            return _print_click(error, as_json)
        case UnicodeEncodeError() if _not_utf8(arguments):
            text = f"an argument is not UTF-8: {_not_utf8(arguments)}"
            return _print("INVALID_ARGUMENT", text, click.UsageError.exit_code, as_json)
        case OSError() if error.filename is not None:
            return _print("FAILED_PRECONDITION", f"{error.filename}: {error.strerror}", 1, as_json)
        case click.Abort():
            click.echo("Aborted!", err=True)
            return 1
    if os.environ.get("HOMING_DEBUG"):
        raise error
    text = f"internal error: {type(error).__name__}: {error} (HOMING_DEBUG=1 shows the stack trace)"
    return _print("INTERNAL", text, 1, as_json)


def _print(code: str, text: str, status: int, as_json: bool) -> int:
    if as_json:
        click.echo(to_json(code, text, ""))
    else:
        click.echo(f"homing: {printable_lines(text)}", err=True)
    return status


def _print_click(error: click.ClickException, as_json: bool) -> int:
    if as_json:
        parameter: Any = getattr(error, "param", None)
        click.echo(to_json("INVALID_ARGUMENT", error.format_message(), parameter.opts[0] if parameter else ""))
    else:
        error.show()
    return error.exit_code


def _not_utf8(arguments: Sequence[str]) -> str:
    """The first argument that no text can carry, in ASCII; "" for none."""
    return next((ascii(argument) for argument in arguments if not _is_text(argument)), "")


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments before `--`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def to_json(code: str, message: str, field: str) -> str:
    """An error on one line. `field`: of the request, or the option at fault; "" for none."""
    return json.dumps({"error": {"code": code, "message": message, "field": field}})
