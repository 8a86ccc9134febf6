"""`homing presence`: the connected sessions of a user or a file."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from homing.command import calls, options
from homing.command.printable import printable
from homing.command.tables import table

if TYPE_CHECKING:
    from homing.v1.router_pb2 import PresenceRequest, PresenceResponse
    from homing.v1.router_pb2_grpc import RouterStub

PAGE_SIZE = 1000


@click.command(short_help="List connected sessions.")
@click.option("--user", metavar="UID", help="All sessions of this user.")
@click.option("--file", "file", metavar="FILE", help="All sessions that have joined this file.")
@options.run_dir
@options.routers
@options.as_json
def presence(user: str | None, file: str | None, run_dir: Path, routers: tuple[str, ...], as_json: bool) -> None:
    """List the sessions of a user, or the sessions that have joined a file.

    A user's sessions come from the router's table; for a file the router queries the gateways that own it.

    \b
    Examples:
      homing presence --user ada
      homing presence --file notes --json
    """
    from homing.v1.router_pb2 import PresenceRequest, PresenceResponse

    if (user is None) == (file is None):
        raise click.UsageError("name one: --user or --file")
    result, token = PresenceResponse(), ""
    while True:
        request = PresenceRequest(user=user, file=file, page_size=PAGE_SIZE, page_token=token)
        page = calls.call(run_dir, routers, as_json, partial(_presence, request))
        result.sessions.extend(page.sessions)
        result.total = page.total
        result.incomplete_nodes.extend(node for node in page.incomplete_nodes if node not in result.incomplete_nodes)
        token = page.next_page_token
        if not token:
            break
    click.echo(calls.to_json(result) if as_json else describe(result))


def _presence(request: "PresenceRequest", stub: "RouterStub", timeout: float) -> "PresenceResponse":
    return cast("PresenceResponse", stub.Presence(request, timeout=timeout))


def describe(response: "PresenceResponse") -> str:
    """The sessions as a table, then the nodes that did not answer."""
    from homing.client.responses import decode_present_session

    rows = [
        (str(one.session), one.user, one.node, f"{one.connected_at:%Y-%m-%d %H:%M:%S}" if one.connected_at else "-")
        for one in map(decode_present_session, response.sessions)
    ]
    lines = list(table(("SESSION", "USER", "NODE", "CONNECTED (UTC)"), rows)) if rows else ["nobody"]
    lines += [f"incomplete: node {printable(node)} did not answer" for node in response.incomplete_nodes]
    return "\n".join(lines)
