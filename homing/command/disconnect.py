"""`homing disconnect`: close sessions."""

from pathlib import Path

import click

from homing.command import calls, options


@click.command(short_help="Close sessions.")
@options.target
@click.option("--reason", default="", metavar="TEXT", help="Told to the clients: at most 123 bytes.")
@click.option("--allow-reconnect", is_flag=True, help="Let the clients connect again; without it they stay away.")
@options.run_dir
@options.routers
@options.as_json
def disconnect(
    to_session: int | None,
    to_user: str | None,
    to_file: str | None,
    everyone: bool,
    namespace: str,
    reason: str,
    allow_reconnect: bool,
    run_dir: Path,
    routers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Close the sessions of a target, and print how many.

    \b
    Examples:
      homing disconnect --user ada --reason "signed out"
      homing disconnect --everyone --allow-reconnect
    """
    from homing.v1.router_pb2 import DisconnectRequest

    request = DisconnectRequest(
        target=options.build_target(to_session, to_user, to_file, everyone, namespace),
        reason=reason,
        allow_reconnect=allow_reconnect,
    )
    response = calls.call(run_dir, routers, as_json, lambda stub, timeout: stub.Disconnect(request, timeout=timeout))
    click.echo(calls.to_json(response) if as_json else calls.count_sessions("disconnected", response.sessions))
