"""`homing locate`: a dry run, where a push would go."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.command import calls, options
from homing.command.tables import table

if TYPE_CHECKING:
    from homing.v1.router_pb2 import LocateResponse


@click.command(short_help="Say where a push would go.")
@options.target
@options.run_dir
@options.router
@options.as_json
def locate(
    to_session: int | None,
    to_user: str | None,
    to_file: str | None,
    everyone: bool,
    namespace: str,
    run_dir: Path,
    router: str | None,
    as_json: bool,
) -> None:
    """Say which gateways a push to this target would be sent to; nothing is sent.

    \b
    Example:
      homing locate --file notes
    """
    from homing.v1.router_pb2 import LocateRequest

    request = LocateRequest(target=options.build_target(to_session, to_user, to_file, everyone, namespace))
    answer = calls.call(run_dir, router, as_json, lambda stub, limit: stub.Locate(request, timeout=limit), 0.0)
    click.echo(calls.to_json(answer) if as_json else describe(answer))


def describe(answer: "LocateResponse") -> str:
    """The routes as a table; in words when there is none."""
    from homing.v1.router_pb2 import Route

    lines = ["the registry is away: this is the last that was known"] if answer.registry_away else []
    if not answer.routes:
        return "\n".join([*lines, answer.why or "no route"])
    rows = [
        (route.node, str(route.epoch), str(route.sessions or "-"), Route.Source.Name(route.source))
        for route in answer.routes
    ]
    return "\n".join([*lines, *table(("NODE", "EPOCH", "SESSIONS", "SOURCE"), rows)])
