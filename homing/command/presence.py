"""`homing presence`: who is there."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from homing.command import calls, options
from homing.command.tables import table

if TYPE_CHECKING:
    from homing.v1.router_pb2 import PresenceRequest, PresenceResponse
    from homing.v1.router_pb2_grpc import RouterStub

PAGE = 1000


@click.command(short_help="Say who is there.")
@click.option("--user", metavar="UID", help="All sessions of this user.")
@click.option("--file", "file", metavar="FILE", help="All sessions that have joined this file.")
@options.run_dir
@options.router
@options.as_json
def presence(user: str | None, file: str | None, run_dir: Path, router: str | None, as_json: bool) -> None:
    """List the sessions of a user, or everybody who has a file open.

    A user's come from the router's table; for a file the gateways that own it are asked.

    \b
    Examples:
      homing presence --user ada
      homing presence --file notes --json
    """
    from homing.v1.router_pb2 import PresenceRequest, PresenceResponse

    if (user is None) == (file is None):
        raise click.UsageError("name one: --user or --file")
    whole, token = PresenceResponse(), ""
    while True:
        request = PresenceRequest(user=user, file=file, page_size=PAGE, page_token=token)
        page = calls.call(run_dir, router, as_json, partial(_ask, request), 0.0)
        whole.sessions.extend(page.sessions)
        whole.total = page.total
        whole.incomplete_nodes.extend(node for node in page.incomplete_nodes if node not in whole.incomplete_nodes)
        token = page.next_page_token
        if not token:
            break
    click.echo(calls.to_json(whole) if as_json else describe(whole))


def _ask(request: "PresenceRequest", stub: "RouterStub", limit: float) -> "PresenceResponse":
    return cast("PresenceResponse", stub.Presence(request, timeout=limit))


def describe(answer: "PresenceResponse") -> str:
    """The sessions as a table, then what is missing from it."""
    rows = [
        (str(one.session), one.user, one.node, one.connected_at.ToDatetime().isoformat(" ", "seconds"))
        for one in answer.sessions
    ]
    lines = list(table(("SESSION", "USER", "NODE", "CONNECTED (UTC)"), rows)) if rows else ["nobody"]
    lines += [f"incomplete: node {node} did not answer" for node in answer.incomplete_nodes]
    return "\n".join(lines)
