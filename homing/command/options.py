"""Options shared by verbs: the cluster's address, the target of a call, parameter types."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from homing.command.address_types import ROUTER_ADDRESS

if TYPE_CHECKING:
    from homing.v1.router_pb2 import Target

F = TypeVar("F", bound=Callable[..., Any])

LONGEST = 366 * 86400.0  # seconds
UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class DurationParam(click.ParamType[float]):
    """A duration such as 500ms, 30s, 5m, 1h; a bare number is seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|)", str(value))
        if found is None or float(found[1]) == 0:
            self.fail(f"{value!r} is not a duration such as 500ms, 30s, 5m or 1h", param, ctx)
        seconds = float(found[1]) * UNITS[found[2]]
        if seconds > LONGEST:
            self.fail(f"{str(value)[:40]!r} is longer than 366d", param, ctx)
        return seconds


DURATION = DurationParam()


class PathParam(click.Path):
    """A path that is not empty: Python takes an empty one for the working directory."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        if not str(value) or "\0" in str(value):
            self.fail(f"{str(value)!r} is no path; the working directory is .", param, ctx)
        return super().convert(value, param, ctx)


def run_dir(function: F) -> F:
    """--run-dir: the directory in which `up` writes cluster.json."""
    return click.option(
        "--run-dir",
        type=PathParam(file_okay=False),
        default=".homing",
        show_default=True,
        metavar="DIR",
        help="The directory of the cluster that `homing up` started.",
    )(function)


class SessionParam(click.ParamType[int]):
    """A session id, as `hello` and `homing presence` show it."""

    name = "session"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not re.fullmatch(r"[0-9]{1,20}", text) or not 1 <= int(text) < 2**64:
            self.fail(
                f"{text!r} is no session id, a number as `homing presence` shows it, 251043194593091584", param, ctx
            )
        return int(text)


SESSION = SessionParam()


def routers(function: F) -> F:
    """--router, repeatable: routers that are not in a cluster.json."""
    return click.option(
        "--router",
        "routers",
        type=ROUTER_ADDRESS,
        multiple=True,
        metavar="HOST:PORT",
        help="A router's gRPC address, instead of DIR/cluster.json's; repeatable: the first that answers is used.",
    )(function)


def as_json(function: F) -> F:
    """--json; the first option to be read, so that the others' errors are JSON as well."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_note_json, help="Print JSON for programs."
    )(function)


class OutputForm:
    """Whether a command line has --json; None: it was wrong before that could be known."""

    as_json: bool | None = None


def _note_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    if isinstance(ctx.obj, OutputForm):
        ctx.obj.as_json = value
    return value


def target(function: F) -> F:
    """--session, --user, --file, --everyone and --namespace: the target of the call."""
    for decorate in (
        click.option("--namespace", default="", metavar="NS", help="Socket.IO namespace; '*' is all of them."),
        click.option("--everyone", is_flag=True, help="All sessions."),
        click.option("--file", "to_file", metavar="FILE", help="All sessions that have joined this file."),
        click.option("--user", "to_user", metavar="UID", help="All sessions of this user."),
        click.option("--session", "to_session", type=SESSION, metavar="SID", help="One session."),
    ):
        function = decorate(function)
    return function


class TokenParam(click.ParamType[str]):
    """A client's token, as it stands in a header."""

    name = "token"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[\x21-\x7e]+", str(value)):
            self.fail("a token has neither white space nor line ends, and is ASCII", param, ctx)
        return str(value)


TOKEN = TokenParam()


class UserParam(click.ParamType[str]):
    """The user of a token (docs/tokens.md)."""

    name = "user"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = NAME.convert(value, param, ctx)
        if text.startswith("~"):
            self.fail(f"{text!r} begins with ~, which is reserved for anonymous users", param, ctx)
        return text


USER = UserParam()


class NameParam(click.ParamType[str]):
    """The name of a user or a file: 1 to 256 bytes, the limit of tokens and of the registry."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not 1 <= len(text.encode()) <= 256:
            self.fail("a user or a file has 1 to 256 bytes", param, ctx)
        return text


NAME = NameParam()


def build_target(
    to_session: int | None,
    to_user: str | None,
    to_file: str | None,
    everyone: bool,
    namespace: str,
    choices: str = "--session SID, --user UID, --file FILE or --everyone",
) -> "Target":
    """The target of the call. click.UsageError: none was given, or more than one. `choices`: the verb's options."""
    from homing.v1.router_pb2 import Target

    given = [value is not None for value in (to_session, to_user, to_file)] + [everyone]
    if sum(given) != 1:
        raise click.UsageError(f"name one target: {choices}")
    if to_session is not None:
        return Target(session=to_session, namespace=namespace)
    if to_user is not None:
        return Target(user=to_user, namespace=namespace)
    if to_file is not None:
        return Target(file=to_file, namespace=namespace)
    return Target(everyone=True, namespace=namespace)
