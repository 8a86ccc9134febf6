"""`homing locate`: a dry run, the gateways that a push would be sent to."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.command import calls, options
from homing.command.printable import printable
from homing.command.tables import table

if TYPE_CHECKING:
    from homing.v1.router_pb2 import LocateResponse


@click.command(short_help="Show where a push would go.")
@options.target
@options.run_dir
@options.routers
@options.as_json
def locate(
    to_session: int | None,
    to_user: str | None,
    to_file: str | None,
    everyone: bool,
    namespace: str,
    run_dir: Path,
    routers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show which gateways a push to this target would be sent to; nothing is sent.

    \b
    Example:
      homing locate --file notes
    """
    from homing.v1.router_pb2 import LocateRequest

    request = LocateRequest(target=options.build_target(to_session, to_user, to_file, everyone, namespace))
    response = calls.call(run_dir, routers, as_json, lambda stub, timeout: stub.Locate(request, timeout=timeout))
    click.echo(calls.to_json(response) if as_json else describe(response))


def describe(response: "LocateResponse") -> str:
    """The routes as a table; the reason in words when there is none."""
    from homing.client.responses import enum_name
    from homing.v1.router_pb2 import Route

    lines = ["the registry is away: these routes are the last known ones"] if response.registry_away else []
    if response.why or not response.routes:
        lines.append(printable(response.why) or "no route")
    if not response.routes:
        return "\n".join(lines)
    rows = [
        (
            route.node,
            str(route.epoch),
            str(route.sessions) if route.HasField("sessions") else "-",
            enum_name(Route.Source, route.source),
        )
        for route in response.routes
    ]
    return "\n".join([*lines, *table(("NODE", "EPOCH", "SESSIONS", "SOURCE"), rows)])
