"""`homing join` and `homing leave`: a file, on behalf of a session or of a user's current sessions."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from homing.command import calls, options

if TYPE_CHECKING:
    from homing.v1.router_pb2 import JoinResponse, LeaveResponse, Target
    from homing.v1.router_pb2_grpc import RouterStub


def _arguments(function: options.F) -> options.F:
    for decorate in (
        options.as_json,
        options.routers,
        options.run_dir,
        click.option("--user", type=options.NAME, metavar="UID", help="All current sessions of this user."),
        click.option("--session", type=options.SESSION, metavar="SID", help="One session."),
        click.argument("file", type=options.NAME, metavar="FILE"),
    ):
        function = decorate(function)
    return function


@click.command(short_help="Join a file on behalf of sessions.")
@_arguments
def join(
    file: str, session: int | None, user: str | None, run_dir: Path, routers: tuple[str, ...], as_json: bool
) -> None:
    """Join FILE for a session, or for the current sessions of a user; their clients are told.

    It needs no grant in the client's token, and lasts as long as the session.

    \b
    Examples:
      homing join notes --user ada
      homing join notes --session 251043194593091584 --json
    """
    from homing.v1.router_pb2 import JoinRequest

    request = JoinRequest(target=_target(session, user), file=file)
    _change("joined", run_dir, routers, as_json, lambda stub, timeout: stub.Join(request, timeout=timeout))


@click.command(short_help="Leave a file on behalf of sessions.")
@_arguments
def leave(
    file: str, session: int | None, user: str | None, run_dir: Path, routers: tuple[str, ...], as_json: bool
) -> None:
    """Leave FILE for a session, or for the current sessions of a user; their clients are told.

    \b
    Example:
      homing leave notes --user ada
    """
    from homing.v1.router_pb2 import LeaveRequest

    request = LeaveRequest(target=_target(session, user), file=file)
    _change("left", run_dir, routers, as_json, lambda stub, timeout: stub.Leave(request, timeout=timeout))


def _target(session: int | None, user: str | None) -> "Target":
    return options.build_target(session, user, None, False, "", "--session SID or --user UID")


def _change(
    done: str,
    run_dir: Path,
    routers: tuple[str, ...],
    as_json: bool,
    send: "Callable[[RouterStub, float], JoinResponse | LeaveResponse]",
) -> None:
    response = cast("JoinResponse", calls.call(run_dir, routers, as_json, send))
    click.echo(calls.to_json(response) if as_json else calls.count_sessions(done, response.sessions))
