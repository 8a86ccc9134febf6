"""`homing reply`: the reply to a client's event."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homing.command import calls, options, payload

if TYPE_CHECKING:
    from homing.v1.router_pb2 import Error


@click.command(short_help="Reply to a client's event.")
@click.option("--session", type=options.SESSION, required=True, metavar="SID", help="The event's X-ID.")
@click.option("--ack", type=click.IntRange(0, 2**64 - 1), required=True, metavar="N", help="The event's X-Ack.")
@click.option("--data", metavar=payload.METAVAR, help=payload.HELP)
@click.option("--content-type", default="", metavar="TYPE", help="The payload's type; JSON if absent.")
@click.option("--error", metavar="CODE:MESSAGE", help="Reply with an error in place of a payload.")
@options.run_dir
@options.routers
@options.as_json
def reply(
    session: int,
    ack: int,
    data: str | None,
    content_type: str,
    error: str | None,
    run_dir: Path,
    routers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Reply to a client's event that requests a reply, and print the outcome.

    \b
    Examples:
      homing reply --session 251043194593091584 --ack 7 --data '{"saved": true}'
      homing reply --session 251043194593091584 --ack 7 --error "conflict:the file has changed"
    """
    from homing.client.responses import enum_name
    from homing.v1.router_pb2 import Delivery, ReplyRequest

    if error is not None and (data is not None or content_type):
        raise click.UsageError("either --data or --error, not both; --content-type is the type of --data")
    request = ReplyRequest(session=session, ack=ack, content_type=content_type)
    if error is not None:
        request.error.CopyFrom(_error(error))
    elif data is not None:
        request.data = payload.read_data(data)
    response = calls.call(
        run_dir,
        routers,
        as_json,
        lambda stub, timeout: stub.Reply(request, timeout=timeout),
        sent_once="the reply may or may not have been delivered",
    )
    click.echo(calls.to_json(response) if as_json else enum_name(Delivery.Outcome, response.outcome))


def _error(text: str) -> "Error":
    from homing.v1.router_pb2 import Error

    code, colon, message = text.partition(":")
    if not code or not colon:
        raise click.BadParameter(
            f"{text!r} is not CODE:MESSAGE, as in conflict:the file has changed", param_hint="--error"
        )
    return Error(code=code, message=message.strip())
